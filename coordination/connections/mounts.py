"""Whether a path is on a disk of this host, where its kernel says so."""

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_REMOTE = ("nfs", "cifs", "smb", "afs", "ceph", "gluster", "lustre", "gpfs", "fuse.sshfs", "ocfs")


def network_filesystem(path: Path) -> str | None:
    """The kind of network filesystem `path` is on; None when it is on none, or nobody can tell."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return None
    folder = path.resolve().parent
    best, kind = -1, ""
    for line in lines:
        # proc(5): ID, parent, device, root, mount point, options…, "-", type, source, …
        before, _, after = line.partition(" - ")
        point = Path(before.split(" ")[4].replace("\\040", " "))
        if (folder == point or point in folder.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind if kind.startswith(_REMOTE) else None
