"""The pytest plugin: collects contracts of participants under any name.

Without one it does nothing. It is loaded in every run of pytest where Concord is installed, so it
imports nothing of Django.
"""

from typing import Any

import pytest

pytest.register_assert_rewrite("coordination.testing")

CONTRACT = "is_participant_contract"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark of contracts known."""
    config.addinivalue_line(
        "markers", "participant_contract: a check of what a participant has to keep"
    )


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: Any
) -> pytest.Class | None:
    """Collect a contract whatever `python_classes` says, but not the class that others build on."""
    if isinstance(obj, type) and vars(obj).get(CONTRACT):
        collected: pytest.Class = pytest.Class.from_parent(collector, name=name, obj=obj)
        return collected
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """A contract commits for real, in every database: tell pytest-django, if it is there."""
    if not getattr(getattr(item, "cls", None), CONTRACT, False):
        return
    item.add_marker(pytest.mark.participant_contract)
    unmarked = item.get_closest_marker("django_db") is None
    if unmarked and item.config.pluginmanager.hasplugin("django"):
        item.add_marker(pytest.mark.django_db(transaction=True, databases="__all__"))
