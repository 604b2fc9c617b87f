"""Vendored files are what they say they are; our own pass under the strict policy."""

import hashlib
import re
from pathlib import Path

import pytest
from django.conf import settings

from dashboard import assets

ROOT = Path(__file__).resolve().parents[2]
VENDORS = (ROOT / "static/vendor", ROOT / "tests/browser/vendor")
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.mark.parametrize("folder", VENDORS, ids=["served", "tests"])
def test_every_vendored_file_has_the_hash_its_list_says_and_none_is_unlisted(folder: Path) -> None:
    rows = re.findall(
        r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", (folder / "VENDOR.md").read_text(), re.MULTILINE
    )
    listed = dict(rows)
    present = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "VENDOR.md"
    }
    assert listed == present


def test_every_vendored_folder_has_its_licence() -> None:
    for folder in (each for vendor in VENDORS for each in vendor.iterdir()):
        assert folder.name == "VENDOR.md" or (folder / "LICENSE").is_file(), folder


def test_the_import_map_names_every_module_of_ours_and_the_vendored() -> None:
    imports = assets.import_map()["imports"]
    ours = {
        path.relative_to(ROOT / "static").as_posix()
        for path in (ROOT / "static/concord/js").rglob("*.js")
    }
    assert {f"{settings.STATIC_URL}{name}" for name in ours} | set(assets.VENDORED) == set(imports)
    for path in assets.VENDORED.values():
        assert (ROOT / "static" / path).is_file()


def test_our_scripts_import_only_neighbours_and_vendored_names() -> None:
    for path in (ROOT / "static/concord/js").rglob("*.js"):
        for name in re.findall(
            r"""^import .*?["']([^"']+)["'];$""", path.read_text(), re.MULTILINE
        ):
            if name.startswith("."):
                assert (path.parent / name).is_file(), f"{path.name}: {name}"
            else:
                assert name in assets.VENDORED, f"{path.name}: {name}"


def test_templates_carry_no_inline_style_or_script() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        assert not INLINE.search(path.read_text()), path


def test_templates_load_nothing_from_elsewhere() -> None:
    for path in [
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "static/concord").rglob("*.[cj]s*"),
    ]:
        found = re.findall(r"https?://(?!www\.w3\.org)\S+", path.read_text())
        assert not found, f"{path}: {found}"


def test_icons_used_exist() -> None:
    sprite = (ROOT / "static/concord/img/icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([a-z]+)"', sprite))
    used: set[str] = set()
    for path in (ROOT / "templates").rglob("*.html"):
        used |= set(re.findall(r'{% icon "([a-z]+)"', path.read_text()))
    for path in (ROOT / "static/concord/js").rglob("*.js"):
        used |= set(re.findall(r'<\$\{(?:Icon|Mark)\} name="([a-z]+)"', path.read_text()))
    assert used
    assert used <= known
