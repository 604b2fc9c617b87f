"""`manage.py concord <command>`: finds the command's module in `management/subcommands`.

A subcommand is a module with `add_arguments(parser)` and `handle(options)`; the first line of its
docstring is its help. `handle` may return an exit status.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from coordination.management import subcommands


def subcommand_modules() -> dict[str, ModuleType]:
    """The module of each subcommand, by its name on the command line."""
    names = sorted(module.name for module in pkgutil.iter_modules(subcommands.__path__))
    return {
        name.replace("_", "-"): import_module(f"{subcommands.__name__}.{name}") for name in names
    }


class Command(BaseCommand):
    """Concord's commands under one name."""

    help = "Run and inspect Concord: observe, sweep, verify, resolve, move, ..."

    def add_arguments(self, parser: CommandParser) -> None:
        """Give every subcommand a parser of its own."""
        chosen = parser.add_subparsers(dest="subcommand", metavar="command", required=True)
        for name, module in subcommand_modules().items():
            text = (module.__doc__ or "").strip().partition("\n")[0]
            module.add_arguments(chosen.add_parser(name, help=text, description=text))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the chosen subcommand; a status other than 0 ends the process with it."""
        status = subcommand_modules()[options["subcommand"]].handle(options)
        if status:
            sys.exit(status)
