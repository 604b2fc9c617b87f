"""``manage.py concord consume <queue> --handler <dotted.path>``: work on a queue, until stopped."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils.module_loading import import_string

from coordination.exceptions import CoordinationError
from coordination.queues.api import queue


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("queue", help="Its name.")
    parser.add_argument(
        "--handler", required=True, help="Dotted path of a function that takes the message."
    )
    parser.add_argument(
        "--concurrency", type=_count, default=4, help="Messages at once, each in a thread; 4."
    )
    parser.add_argument("--using", help="Alias of its store; by default where ROUTES sends it.")


def handle(options: Mapping[str, Any]) -> None:
    """Consume until SIGTERM or SIGINT; what is under way is completed first."""
    handler = _handler(options["handler"])
    try:
        consumed = queue(options["queue"], using=options["using"])
    except CoordinationError as error:
        raise CommandError(str(error)) from error
    consumed.run(handler, concurrency=options["concurrency"])


def _handler(path: str) -> Callable[[Any], object]:
    try:
        handler = import_string(path)
    except ImportError as error:
        raise CommandError(f"--handler {path!r}: {error}") from error
    if not callable(handler):
        raise CommandError(f"--handler {path!r} is no function.")
    found: Callable[[Any], object] = handler
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ArgumentTypeError(f"must be from 1 to 1000, not {text!r}")
    return int(text)
