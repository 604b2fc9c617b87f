"""One versioned row: who may write it, and what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.serializers import deserialize, serialize
from django.db import connections, transaction

from coordination.exceptions import ConflictError, InvalidArgument
from tests.guarded.models import Document, Letter, Note


def made(using: str, **values: Any) -> Document:
    return Document.objects.using(using).create(title="a", **values)


def read(using: str, document: Document) -> Document:
    return Document.objects.using(using).get(pk=document.pk)


def stands(using: str) -> tuple[str, int]:
    return Document.objects.using(using).values_list("title", "version").get()


def test_every_save_moves_the_version(using: str) -> None:
    document = made(using)
    assert document.version == 1
    for title in ("b", "c"):
        document.title = title
        document.save()

    assert document.version == 3
    assert stands(using) == ("c", 3)


WRITES: dict[str, Callable[[Document], Any]] = {
    "save": lambda document: document.save(),
    "update_fields": lambda document: document.save(update_fields=["title"]),
    "force_update": lambda document: document.save(force_update=True),
    "save_base": lambda document: document.save_base(),
    "asave": lambda document: async_to_sync(document.asave)(),
    "delete": lambda document: document.delete(),
    "adelete": lambda document: async_to_sync(document.adelete)(),
}


@pytest.mark.parametrize("verb", WRITES)
def test_who_read_an_older_version_is_refused(using: str, verb: str) -> None:
    late = made(using)
    first = read(using, late)
    first.title = "first"
    first.save()

    late.title = "late"
    with pytest.raises(ConflictError, match=r"was read at version 1 and is now at version 2"):
        WRITES[verb](late)

    assert stands(using) == ("first", 2)
    assert (late.pk, late.version) == (first.pk, 1)  # the object is as it was


@pytest.mark.parametrize("verb", WRITES)
def test_a_row_that_is_gone_does_not_come_back(using: str, verb: str) -> None:
    late = made(using)
    read(using, late).delete()

    with pytest.raises(ConflictError, match="deleted meanwhile") as told:
        WRITES[verb](late)
    assert not Document.objects.using(using).exists()
    assert (told.value.applied, told.value.store) == (False, using)


@pytest.mark.parametrize("verb", ["save", "delete", "update_fields"])
def test_a_refusal_leaves_the_block_around_it_usable(using: str, verb: str) -> None:
    late = made(using)
    read(using, late).save()
    with transaction.atomic(using=using):
        with pytest.raises(ConflictError):
            WRITES[verb](late)
        late.refresh_from_db()
        late.title = "again"
        late.save()

    assert stands(using) == ("again", 3)


def test_what_was_read_in_part_is_compared_or_refused(using: str) -> None:
    document = made(using)
    part = Document.objects.using(using).only("title", "version").get(pk=document.pk)
    document.save()
    with pytest.raises(ConflictError):
        part.save()
    for rows in (Document.objects.only("title"), Document.objects.defer("version")):
        blind = rows.using(using).get()
        for verb in ("save", "update_fields", "delete"):
            with pytest.raises(InvalidArgument, match="read without its version"):
                WRITES[verb](blind)
    assert stands(using) == ("a", 2)


def test_refreshing_a_part_does_not_hide_that_the_row_moved_on(using: str) -> None:
    late = made(using)
    first = read(using, late)
    first.title = "first"
    first.save()

    late.refresh_from_db(fields=["title"])
    with pytest.raises(ConflictError):
        late.save()
    late.refresh_from_db()
    late.save()
    assert stands(using) == ("first", 3)


def test_an_object_made_with_the_key_of_a_row_overwrites_nothing(using: str) -> None:
    document = made(using)
    with pytest.raises(ConflictError, match="exists already and was not read"):
        Document(pk=document.pk, title="b").save(using=using)
    Document(pk=document.pk + 1, title="b").save(using=using)
    assert Document.objects.using(using).count() == 2


def test_a_version_that_is_no_number_is_refused_before_anything_is_sent(using: str) -> None:
    document = made(using)
    document.version = "2"  # type: ignore[assignment]
    with connections[using].execute_wrapper(lambda *_: pytest.fail("something was sent")):
        with pytest.raises(InvalidArgument, match="has the version '2'"):
            document.save()


def test_after_a_rollback_the_object_has_to_be_read_again(using: str) -> None:
    document = made(using)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        document.save()
        _ = 1 / 0

    with pytest.raises(ConflictError, match="read at version 2 and is now at version 1"):
        document.save()


def test_a_child_table_is_compared_by_the_version_of_its_parent(using: str) -> None:
    letter = Letter(title="a", to="x")
    letter.save(using=using)
    late = Letter.objects.using(using).get()
    letter.to = "y"
    letter.save(update_fields=["to"])

    late.to = late.title = "late"
    for fields in (None, ["to"], ["title"]):
        with transaction.atomic(using=using):
            with pytest.raises(ConflictError):
                late.save(update_fields=fields)
            assert Letter.objects.using(using).values_list("title", "to").get() == ("a", "y")
    with pytest.raises(ConflictError):
        late.delete()
    with pytest.raises(ConflictError):
        (late_parent := Document.objects.using(using).get()) and letter.save()
        late_parent.save()
    letter.refresh_from_db()
    assert letter.delete()[0] == 2


def test_a_proxy_is_the_same_row(using: str) -> None:
    document = made(using)
    note = Note.objects.using(using).get()
    document.save()
    with pytest.raises(ConflictError):
        note.save()
    assert Note.objects.using(using).update(title="n") == 1
    with pytest.raises(ConflictError):
        document.save()


def test_fixtures_are_loaded_over_what_stands_and_move_the_version(using: str) -> None:
    document = made(using)
    old = serialize("json", Document.objects.using(using).all())
    late = read(using, document)
    for title in ("b", "c"):
        document.title = title
        document.save()

    for row in deserialize("json", old, using=using):
        row.save(using=using)
    assert stands(using) == ("a", 4)
    for reader in (late, document):
        with pytest.raises(ConflictError):
            reader.save()
    Document.objects.using(using).all().delete()
    for row in deserialize("json", old, using=using):
        row.save(using=using)
    assert stands(using) == ("a", 1)
