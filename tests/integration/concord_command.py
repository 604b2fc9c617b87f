"""``manage.py`` in a process of its own, with settings changed for it alone."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command; `code` is the inside of `dict(...)` with the settings to change."""
    program = (
        "import sys\n"
        "from config import settings\n"
        f"vars(settings).update(dict({code or ''}))\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(['manage.py', *sys.argv[1:]])\n"
    )
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "config.settings"} | variables
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
