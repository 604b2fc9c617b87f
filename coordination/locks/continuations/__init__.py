"""Celery tasks that start when a lock is granted to them, while no worker waits."""
