"""Fenced rows on each database."""

from tests.guarded.installing import _django_db_helper, app, on_postgresql, using

__all__ = ["_django_db_helper", "app", "on_postgresql", "using"]
