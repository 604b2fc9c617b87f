"""Processes of their own that change one name and one row of PostgreSQL."""

import subprocess
import sys
from pathlib import Path

import pytest

from coordination import optimistic
from tests.guarded.models import Document

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
import django
django.setup()
from coordination import optimistic
from coordination.exceptions import ConflictError
from tests.guarded.models import Document

name, pk = sys.argv[1], int(sys.argv[2])

def both(a):
    document = Document.objects.get(pk=pk)
    document.count += 1
    document.save()
    a.set((a.value or 0) + 1)

for _ in range(20):
    optimistic.run(both, name, using="database", retries=10_000)
"""


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_processes_that_increment_together_end_with_the_exact_sum(
    using: str, name: str, process_environment: dict[str, str]
) -> None:
    pk = Document.objects.create(title="shared").pk
    environment = process_environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name, str(pk)],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for each in running:
        _, told = each.communicate(timeout=60)
        assert each.returncode == 0, told

    value, version = optimistic.run(lambda a: (a.value, a.version), name, using="default")
    document = Document.objects.get(pk=pk)
    assert (value, version, document.count, document.version) == (60, 60, 60, 61)
