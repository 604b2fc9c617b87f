"""Queues in Django's admin: to be read, and to be acted on through `operations` alone."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse

from coordination.intervening.admin import (
    Answer,
    Deed,
    InterventionAdmin,
    ReadOnlyAdmin,
    StandingFilter,
)
from coordination.queues import operations
from coordination.queues.operating import STEP
from coordination.queues.operations import Order, Place
from coordination.queues.records import MessageRecord, QueueRecord
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb

SHOWN = "shown_count:"
"""Before a key: how many messages were on the page when the reason was asked for."""
ASKED = "asked"
"""Of a confirmation, by which a form that is sent twice is the same order."""


class QueueFilter(StandingFilter):
    """Where somebody may have to act."""

    CHOICES = {
        "with dead letters": {"dead__gt": 0},
        "with messages": {"ready__gt": 0},
        "publishing paused": {"publishing_paused": True},
        "consuming paused": {"consuming_paused": True},
        "disputed": {"disputed__gt": ""},
    }


class MessageFilter(StandingFilter):
    """Where a message is: dead letters are those that came from another queue."""

    CHOICES = {
        "waiting": {"state": "waiting"},
        "in flight": {"state": "in_flight"},
        "dead letters": {"state": "waiting", "source__gt": ""},
        "failed before": {"error__gt": ""},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ToConfirm:
    """A record, and how many messages a deed to it will carry under `field`."""

    record: QueueRecord
    field: str
    waiting: int


@admin.register(QueueRecord)
class QueueRecordAdmin(InterventionAdmin):
    things = "queues"
    confirmation = "admin/coordination/confirm_queues.html"
    words = MappingProxyType({"step": STEP})
    list_display = (
        *("name", "store", "ready", "in_flight", "delayed", "dead", "oldest_at"),
        *("publishing_paused", "consuming_paused", "acked", "disputed", "seen_at"),
    )
    list_filter = (QueueFilter, "store")
    search_fields = ("name",)
    ordering = ("-dead", "key")
    actions = ("pause", "resume", "redrive", "purge")

    # Nobody edits a record, so these rights say what may be done to the queues themselves.
    def has_pause_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.change_queuerecord"))

    def has_purge_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.delete_queuerecord"))

    @admin.action(description="Pause consuming", permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[QueueRecord]) -> HttpResponse | None:
        return self._act(request, queryset, "pause", "Pause consuming", _pause)

    @admin.action(description="Resume", permissions=["pause"])
    def resume(self, request: HttpRequest, queryset: QuerySet[QueueRecord]) -> HttpResponse | None:
        return self._act(request, queryset, "resume", "Resume", _resume)

    @admin.action(description="Redrive dead letters", permissions=["pause"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[QueueRecord]) -> HttpResponse | None:
        return self._act(request, queryset, "redrive", "Redrive dead letters", _sweep(Verb.REDRIVE))

    @admin.action(description="Purge", permissions=["purge"])
    def purge(self, request: HttpRequest, queryset: QuerySet[QueueRecord]) -> HttpResponse | None:
        return self._act(request, queryset, "purge", "Purge", _sweep(Verb.PURGE))

    def _act(
        self,
        request: HttpRequest,
        queryset: QuerySet[QueueRecord],
        action: str,
        verb: str,
        perform: Callable[[HttpRequest, QueueRecord, str], Answer],
    ) -> HttpResponse | None:
        allowed = self.has_purge_permission if action == "purge" else self.has_pause_permission
        deed = Deed(action=action, verb=verb, allowed=allowed, perform=perform)
        return self.ask_or_do(request, queryset, deed)

    def shown(self, rows: list[Any]) -> Iterable[Any]:
        return [
            ToConfirm(
                record=row,
                field=f"{SHOWN}{row.key}",
                waiting=row.ready + row.delayed,
            )
            for row in rows
        ]


@admin.register(MessageRecord)
class MessageRecordAdmin(InterventionAdmin):
    things = "messages"
    confirmation = "admin/coordination/confirm_messages.html"
    list_display = (
        *("message", "key", "state", "attempts", "error", "source", "node"),
        *("published_at", "taken_at", "until", "ended_at"),
    )
    list_filter = (MessageFilter, "state")
    search_fields = ("message", "key")
    ordering = ("-id",)
    actions = ("requeue", "discard")

    def has_requeue_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.change_queuerecord"))

    def has_discard_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("coordination.delete_queuerecord"))

    @admin.action(description="Give another chance", permissions=["requeue"])
    def requeue(
        self, request: HttpRequest, queryset: QuerySet[MessageRecord]
    ) -> HttpResponse | None:
        deed = Deed(
            action="requeue",
            verb="Give another chance",
            allowed=self.has_requeue_permission,
            perform=_requeue,
        )
        return self.ask_or_do(request, queryset, deed)

    @admin.action(description="Throw away", permissions=["discard"])
    def discard(
        self, request: HttpRequest, queryset: QuerySet[MessageRecord]
    ) -> HttpResponse | None:
        deed = Deed(
            action="discard",
            verb="Throw away",
            allowed=self.has_discard_permission,
            perform=_discard,
        )
        return self.ask_or_do(request, queryset, deed)


@admin.register(QueueSweep)
class QueueSweepAdmin(ReadOnlyAdmin):
    list_display = (
        *("began_at", "verb", "queue", "store", "to", "progress", "state", "error"),
        *("actor", "reason", "ended_at", "ended_by"),
    )
    list_filter = ("state", "verb", "store")
    search_fields = ("queue", "actor", "reason")
    ordering = (F("ended_at").desc(nulls_first=True), "-began_at")

    @admin.display(description="done")
    def progress(self, row: QueueSweep) -> str:
        return f"{row.done:,} of at most {row.at_most:,}"


def _place(row: QueueRecord) -> Place:
    return Place(store=row.store, name=row.name)


def _pause(request: HttpRequest, row: QueueRecord, reason: str) -> Answer:
    done = operations.pause(
        _place(row), publishing=False, consuming=True, actor=str(request.user), reason=reason
    )
    return Answer(text="it gives out no messages." if done else "it was paused so already.")


def _resume(request: HttpRequest, row: QueueRecord, reason: str) -> Answer:
    done = operations.resume(_place(row), actor=str(request.user), reason=reason)
    return Answer(text="resumed." if done else "it was not paused any more.")


def _sweep(verb: Verb) -> Callable[[HttpRequest, QueueRecord, str], Answer]:
    """The deed, on at most as many messages as its page had shown."""

    def perform(request: HttpRequest, row: QueueRecord, reason: str) -> Answer:
        text = request.POST.get(f"{SHOWN}{row.key}", "")
        at_most = int(text) if text.isdecimal() else 0
        if not at_most:
            return Answer(text="nothing was shown there: nothing was done.", level=messages.WARNING)
        asked = f"{request.POST.get(ASKED, '')} {verb} {row.key}"
        op = hashlib.blake2b(asked.encode(), digest_size=12).hexdigest()
        order = Order(op=op, verb=verb, place=_place(row), at_most=at_most)
        found = operations.order(order, actor=str(request.user), reason=reason)
        return _told(found)

    return perform


def _told(row: QueueSweep) -> Answer:
    if row.state == SweepState.DONE:
        return Answer(text=f"{row.verb}: {row.done:,} messages.")
    far = f"{row.verb}: {row.done:,} of at most {row.at_most:,} so far"
    if row.state == SweepState.RUNNING:
        return Answer(text=f"{far}; it goes on by itself.", level=messages.WARNING)
    return Answer(text=f"{far}; {row.state}. {row.error}", level=messages.ERROR)


def _requeue(request: HttpRequest, row: MessageRecord, reason: str) -> Answer:
    store, _, name = row.key.partition(" ")
    if not row.source:
        return Answer(text="it is no dead letter: nothing was done.", level=messages.WARNING)
    place = Place(store=store, name=row.source)
    done = operations.requeue(place, row.message, actor=str(request.user), reason=reason)
    return _of_one(f"back in {row.source}.", done=done, name=name)


def _discard(request: HttpRequest, row: MessageRecord, reason: str) -> Answer:
    store, _, name = row.key.partition(" ")
    place = Place(store=store, name=name)
    done = operations.discard(place, row.message, actor=str(request.user), reason=reason)
    return _of_one("thrown away.", done=done, name=name)


def _of_one(text: str, *, done: bool, name: str) -> Answer:
    if done:
        return Answer(text=text)
    gone = f"it was not in {name} any more, or somebody had taken it: nothing was done."
    return Answer(text=gone, level=messages.WARNING)
