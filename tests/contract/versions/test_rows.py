"""Many versioned rows at once, and several writers at the same moment."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync
from django.core import checks
from django.db import OperationalError, connections, transaction
from django.db.models import F

from coordination.exceptions import ConflictError, InvalidArgument
from tests.contract.locks.asking import until
from tests.contract.threads import at_once, disconnected
from tests.guarded.models import Document, Letter, LooseDocument, Owner

BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def made(using: str, count: int = 3) -> list[Document]:
    return Document.objects.using(using).bulk_create([Document(title=str(n)) for n in range(count)])


def versions(using: str) -> list[int]:
    return list(Document.objects.using(using).order_by("pk").values_list("version", flat=True))


def test_an_update_moves_the_version_of_each_row(using: str) -> None:
    readers = made(using)
    rows = Document.objects.using(using)
    assert rows.filter(title__in=["0", "1"]).update(count=F("count") + 5) == 2
    assert async_to_sync(rows.filter(title="0").aupdate)(text="x") == 1

    assert versions(using) == [3, 2, 1]
    for reader, refused in zip(readers, (True, True, False), strict=True):
        if refused:
            with pytest.raises(ConflictError):
                reader.save()
        else:
            reader.save()


def test_conditions_over_other_tables_hold(using: str) -> None:
    made(using)
    owner = Owner.objects.using(using).create(name="o")
    Document.objects.using(using).filter(title="1").update(owner=owner)
    assert Document.objects.using(using).filter(owner__name="o").update(text="x") == 1
    assert versions(using) == [1, 3, 1]


def test_django_s_own_updates_move_the_version_too(using: str) -> None:
    owner = Owner.objects.using(using).create(name="o")
    document, *_ = made(using)
    owner.documents.add(Document.objects.using(using).get(pk=document.pk))
    assert versions(using) == [2, 1, 1]
    owner.delete()
    assert versions(using) == [3, 1, 1]
    with pytest.raises(ConflictError):
        document.save()


def test_bulk_update_writes_all_rows_or_none(using: str) -> None:
    rows, manager = made(using), Document.objects.using(using)
    manager.filter(title="1").update(text="first")
    for each in rows:
        each.text = "bulk"
    with transaction.atomic(using=using):
        with pytest.raises(ConflictError, match=r"One of 3 rows of guarded.Document"):
            manager.bulk_update(rows, ["text"])
        assert versions(using) == [1, 2, 1]
    rows[1].refresh_from_db()
    rows[1].text = "bulk"

    assert manager.bulk_update(rows, ["text"]) == 3
    assert versions(using) == [2, 3, 2] == [each.version for each in rows]
    assert set(manager.values_list("text", flat=True)) == {"bulk"}
    manager.get(pk=rows[2].pk).delete()
    with pytest.raises(ConflictError, match=rf"Document {rows[2].pk} .* deleted meanwhile"):
        manager.bulk_update(rows, ["text"])


def test_rows_of_two_tables_move_together(using: str) -> None:
    letter = Letter(title="a", to="x")
    letter.save(using=using)
    rows = Letter.objects.using(using)
    assert rows.update(to="y", title="b") == 1
    assert rows.values_list("to", "title", "version").get() == ("y", "b", 2)
    with pytest.raises(ConflictError):
        rows.bulk_update([letter], ["to"])
    letter.refresh_from_db()
    assert rows.bulk_update([letter], ["to", "title"]) == 1
    assert letter.version == 3


def test_finding_or_making_a_row_moves_its_version(using: str) -> None:
    rows = Document.objects.using(using)
    rows.update_or_create(title="a", defaults={"text": "1"})
    document, created = rows.update_or_create(title="a", defaults={"text": "2"})
    assert (created, document.version) == (False, 2)
    assert rows.get_or_create(title="a")[0].version == 2


def test_what_would_leave_the_version_behind_is_refused(using: str) -> None:
    rows = Document.objects.using(using)
    with pytest.raises(InvalidArgument, match="moves by itself"):
        rows.update(version=7)
    with pytest.raises(InvalidArgument, match="moves by itself"):
        rows.bulk_update(made(using), ["version"])
    with pytest.raises(InvalidArgument, match="update_conflicts"):
        rows.bulk_create(
            [Document()], update_conflicts=True, update_fields=["text"], unique_fields=["pk"]
        )


def test_of_those_who_read_the_same_version_one_wins(using: str) -> None:
    document, *_ = made(using, 1)

    def save() -> bool:
        mine = Document.objects.using(using).get(pk=document.pk)
        everyone.wait()
        try:
            mine.save()
        except ConflictError:
            return False
        return True

    everyone = threading.Barrier(6)
    assert at_once(*[save] * 6).count(True) == 1
    assert versions(using) == [2]


@pytest.mark.parametrize("using", ["default"], indirect=True)
@pytest.mark.parametrize("verb", ["save", "delete", "bulk_update"])
def test_a_writer_who_had_to_wait_compares_with_what_was_committed(using: str, verb: str) -> None:
    """READ COMMITTED: the row is looked at again after the other writer's commit."""
    (document,) = made(using, 1)
    late = Document.objects.using(using).get()
    writes = {
        "save": late.save,
        "delete": late.delete,
        "bulk_update": lambda: Document.objects.using(using).bulk_update([late], ["text"]),
    }
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(using=using):
            document.save()
            waiting = thread.submit(disconnected, writes[verb])
            until(lambda: _blocked(using) > 0)
        with pytest.raises(ConflictError):
            waiting.result(10)
    assert versions(using) == [2]


def _blocked(using: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(BLOCKED)
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_under_repeatable_read_the_server_refuses(using: str) -> None:
    (document,) = made(using, 1)
    with pytest.raises(OperationalError, match="serialize"), transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        late = Document.objects.using(using).get()
        at_once(document.save)
        late.save()


def test_a_manager_that_would_leave_the_version_behind_is_a_check_error() -> None:
    found = [each.id for each in LooseDocument.check() if isinstance(each, checks.Error)]
    assert "concord.E031" in found
    assert [each for each in Document.check() if each.id == "concord.E031"] == []
