"""`manage.py` in a process whose wall clock is wrong, as Python and Django tell it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import datetime, sys, time
ahead_s = float(sys.argv.pop(1))
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + ahead_s
time.time_ns = lambda: now_ns() + int(ahead_s * 1e9)
class Skewed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=ahead_s)
datetime.datetime = Skewed
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def manage(
    *arguments: str, ahead_s: float, environment: Mapping[str, str]
) -> "subprocess.Popen[str]":
    """Start a command whose clock is `ahead_s` seconds ahead."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ahead_s), *arguments],
        cwd=ROOT,
        env=dict(environment) | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
