"""Whose rights a server runs with.

An ordinary user's servers are that user's. Started by root they drop to the package's own account,
else to ``nobody``: PostgreSQL refuses root, and no account is ever added to the machine.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A system account to drop to."""

    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Hand ``path`` and everything in it to this account."""
        os.chown(path, self.uid, self.gid)
        for entry in path.rglob("*") if path.is_dir() else ():
            os.chown(entry, self.uid, self.gid, follow_symlinks=False)


def account_for(*names: str) -> Account | None:
    """The first existing account of ``names`` or ``nobody``; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    return Account(uid=65534, gid=65534)
