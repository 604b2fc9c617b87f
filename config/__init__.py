"""The Django project that serves Concord: settings, processes, servers."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
