"""COORDINATION: the dict of the README parses, every fault is named with its path."""

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from coordination.kernel.settings import Route
from coordination.kernel.settings_parser import SettingsFault, parse_settings

WHOLE: dict[str, Any] = {
    "NODE": "orders",
    "STORES": {
        "redis": {"BACKEND": "redis", "LOCATION": "redis://host/1"},
        "database": {"BACKEND": "database", "USING": "default"},
        "zookeeper": {"BACKEND": "zookeeper", "LOCATION": "host:2181"},
        "rabbitmq": {"BACKEND": "rabbitmq", "LOCATION": "amqp://"},
    },
    "ROUTES": [("lock", "ledger:*", "zookeeper"), ("queue", "*", "rabbitmq")],
    "DEFAULT": "redis",
    "TRANSACTIONS": {"USING": "default", "REGISTER": "database"},
    "PARTICIPANTS": [("stock.*", "warehouse")],
    "LOCKS": {"TTL": 30, "WAIT": 10, "MAX_HOLD": 3600},
    "QUEUES": {"VISIBILITY": 30, "MAX_ATTEMPTS": 5},
    "OP_ID_TTL": 86400,
    "CONTINUATIONS": ["reports.tasks.*"],
}


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    raw = copy.deepcopy(WHOLE)
    change(raw)
    return raw


def test_the_documented_dict_is_valid() -> None:
    settings = parse_settings(WHOLE)

    assert settings.node == "orders"
    assert settings.stores["redis"].location == "redis://host/1"
    assert settings.stores["database"].using == "default"
    assert settings.routes[0] == Route(primitive="lock", pattern="ledger:*", store="zookeeper")
    assert settings.transactions.mailbox == "redis"
    assert settings.transactions.patience_s == 2.0
    assert settings.op_id_ttl_ms == 86_400_000
    assert settings.failpoints is False


def test_an_empty_dict_gives_a_database_store_and_no_mailbox() -> None:
    settings = parse_settings({})

    assert settings.default == "database"
    assert settings.transactions.mailbox is None
    assert settings.locks.wait_ms == 10_000


def test_routes_send_names_to_stores_the_first_match_counts() -> None:
    settings = parse_settings(WHOLE)

    assert settings.store_of("lock", "ledger:7") == "zookeeper"
    assert settings.store_of("lock", "order:7") == "redis"
    assert settings.store_of("queue", "emails") == "rabbitmq"


def test_participants_are_found_by_pattern_or_not_at_all() -> None:
    settings = parse_settings(WHOLE)

    assert settings.node_of_participant("stock.reserve") == "warehouse"
    assert settings.node_of_participant("points") is None


def test_durations_may_be_timedeltas_and_a_wait_may_be_endless() -> None:
    raw = {"OP_ID_TTL": timedelta(days=2), "LOCKS": {"WAIT": None, "TTL": 0.5}}

    settings = parse_settings(raw)

    assert settings.op_id_ttl_ms == 172_800_000
    assert (settings.locks.wait_ms, settings.locks.ttl_ms) == (None, 500)


def test_without_a_redis_default_the_first_redis_store_carries_decisions() -> None:
    settings = parse_settings(_changed(lambda raw: raw.update(DEFAULT="database")))

    assert settings.transactions.mailbox == "redis"


def test_the_mailbox_can_be_turned_off() -> None:
    settings = parse_settings(_changed(lambda raw: raw["TRANSACTIONS"].update(MAILBOX=None)))

    assert settings.transactions.mailbox is None


def test_a_dotted_backend_speaks_for_itself() -> None:
    store = {"BACKEND": "mine.Store", "LOCATION": "x://", "OPTIONS": {"any": 1}}

    settings = parse_settings({"STORES": {"mine": store}, "ROUTES": [("queue", "*", "mine")]})

    assert settings.stores["mine"].options == {"any": 1}


def test_options_of_a_redis_store_are_seconds() -> None:
    store = {"BACKEND": "redis", "LOCATION": "redis://h", "OPTIONS": {"DEADLINE": 0.25}}

    settings = parse_settings({"STORES": {"redis": store}})

    assert settings.stores["redis"].options == {"deadline_ms": 250}


def test_a_zookeeper_store_is_hosts_and_may_be_a_node_below_the_root() -> None:
    store = {"BACKEND": "zookeeper", "LOCATION": "a:1,b:2/shop", "OPTIONS": {"SESSION": 6}}

    settings = parse_settings({"STORES": {"zookeeper": store}})

    assert settings.stores["zookeeper"].location == "a:1,b:2/shop"
    assert settings.stores["zookeeper"].options == {"session_ms": 6_000}


def test_the_settings_cannot_be_changed_afterwards() -> None:
    settings = parse_settings(WHOLE)

    with pytest.raises(TypeError):
        settings.stores["new"] = settings.stores["redis"]  # type: ignore[index]


def test_a_transaction_is_remembered_for_a_week_or_as_long_as_is_said() -> None:
    raw = _changed(lambda raw: raw["TRANSACTIONS"].update(RETENTION=timedelta(days=2)))

    assert parse_settings(WHOLE).transactions.retention_ms == 7 * 86_400_000
    assert parse_settings(raw).transactions.retention_ms == 2 * 86_400_000


FAULTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (
        lambda raw: raw["TRANSACTIONS"].update(RETENTION=3_600),
        "['RETENTION'] (3600 s) is less than COORDINATION['OP_ID_TTL'] (86400 s)",
    ),
    (
        lambda raw: raw.update(ENVELOPE_TTL=700_000),
        "['RETENTION'] (604800 s) is less than COORDINATION['ENVELOPE_TTL'] (700000 s)",
    ),
    (lambda raw: raw["TRANSACTIONS"].update(RETENTION=None), "['RETENTION'] must be"),
    (lambda raw: raw.update(NODES="x"), "COORDINATION: Unknown key 'NODES'. Did you mean 'NODE'?"),
    (lambda raw: raw.update(NODE="Orders"), "COORDINATION['NODE']: a node is 1 to 16"),
    (lambda raw: raw.update(NODE="a" * 17), "COORDINATION['NODE']: a node is 1 to 16"),
    (lambda raw: raw.update(STORES={}), "COORDINATION['STORES'] must be a dict with at least one"),
    (lambda raw: raw.update(STORES=[]), "COORDINATION['STORES'] must be a dict with at least one"),
    (
        lambda raw: raw["STORES"].update(redis={"BACKEND": "redis"}),
        "COORDINATION['STORES']['redis']['LOCATION'] is needed.",
    ),
    (
        lambda raw: raw["STORES"]["redis"].update(BACKEND="rediss"),
        "COORDINATION['STORES']['redis']['BACKEND']: Unknown backend 'rediss'. Did you mean 'redis",
    ),
    (
        lambda raw: raw["STORES"]["redis"].update(LOCATION="http://:secret@host"),
        "must be a redis://, rediss:// or unix:// URL, not 'host'",
    ),
    (lambda raw: raw["STORES"]["redis"].update(LOCATON="x"), "Did you mean 'LOCATION'?"),
    (lambda raw: raw["STORES"]["redis"].update(USING="x"), "['USING'] is for the database backend"),
    (
        lambda raw: raw["STORES"]["zookeeper"].update(LOCATION="zk://host:2181"),
        "['zookeeper']['LOCATION'] must be host:port",
    ),
    (
        lambda raw: raw["STORES"]["zookeeper"].update(LOCATION="/shop"),
        "['zookeeper']['LOCATION'] must be host:port",
    ),
    (
        lambda raw: raw["STORES"]["redis"].update(OPTIONS={"DEADLINES": 1}),
        "['redis']['OPTIONS']: Unknown key 'DEADLINES'. Did you mean 'DEADLINE'?",
    ),
    (
        lambda raw: raw["STORES"]["database"].update(LOCATION="x"),
        "['LOCATION'] is not for the database backend",
    ),
    (
        lambda raw: raw.update(DEFAULT="rdis"),
        "COORDINATION['DEFAULT']: Unknown store 'rdis'. Did you mean 'redis'?",
    ),
    (lambda raw: raw.update(DEFAULT="rabbitmq"), "which serves queues only"),
    (
        lambda raw: raw.update(ROUTES=[("locks", "*", "redis")]),
        "COORDINATION['ROUTES'][0]: Unknown primitive 'locks'. Did you mean 'lock'?",
    ),
    (lambda raw: raw.update(ROUTES=[("lock", "*", "redsi")]), "Did you mean 'redis'?"),
    (
        lambda raw: raw.update(ROUTES=[("queue", "*", "zookeeper")]),
        "COORDINATION['ROUTES'][0]: a queue cannot live on zookeeper",
    ),
    (
        lambda raw: raw.update(ROUTES=[("lock", "*")]),
        "COORDINATION['ROUTES'][0] must be 3 str",
    ),
    (lambda raw: raw.update(PARTICIPANTS="x"), "COORDINATION['PARTICIPANTS'] must be a list"),
    (
        lambda raw: raw.update(PARTICIPANTS=[("a.*", "No")]),
        "COORDINATION['PARTICIPANTS'][0]: a node is",
    ),
    (lambda raw: raw["TRANSACTIONS"].update(USNG="x"), "Did you mean 'USING'?"),
    (
        lambda raw: raw["TRANSACTIONS"].update(REGISTER="databse"),
        "COORDINATION['TRANSACTIONS']['REGISTER']: Unknown register",
    ),
    (
        lambda raw: raw["TRANSACTIONS"].update(REGISTER="redis"),
        "['REGISTER']: store 'redis' is redis, which cannot decide alone",
    ),
    (
        lambda raw: raw["TRANSACTIONS"].update(REGISTER="paxos"),
        "['REGISTER'] is 'paxos', but CONSENSUS names no ACCEPTORS",
    ),
    (
        lambda raw: raw["TRANSACTIONS"].update(MAILBOX="database"),
        "['MAILBOX']: Unknown Redis store 'database'",
    ),
    (
        lambda raw: raw.update(PEERS={"shop": {"2026": "short"}}),
        "['PEERS']['shop']['2026'] must be a secret of at least 32 characters",
    ),
    (
        lambda raw: raw["TRANSACTIONS"].update(PATIENCE=0),
        "COORDINATION['TRANSACTIONS']['PATIENCE'] must be more than 0 seconds",
    ),
    (lambda raw: raw["LOCKS"].update(TTL=4000), "COORDINATION['LOCKS']['TTL'] (4000 s) is longer"),
    (lambda raw: raw["LOCKS"].update(TTL="30"), "COORDINATION['LOCKS']['TTL'] must be seconds"),
    (lambda raw: raw["QUEUES"].update(MAX_ATTEMPTS=0), "must be an int of at least 1"),
    (lambda raw: raw.update(CONTINUATIONS="tasks.*"), "must be a list of str"),
    (lambda raw: raw.update(FAILPOINTS="yes"), "COORDINATION['FAILPOINTS'] must be True or False"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_a_fault_is_named_with_its_path_and_rule(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(SettingsFault) as caught:
        parse_settings(_changed(change))

    assert message in str(caught.value)


def test_a_fault_in_a_url_does_not_show_its_password() -> None:
    raw = {"STORES": {"redis": {"BACKEND": "redis", "LOCATION": "http://u:secret@host/1"}}}

    with pytest.raises(SettingsFault) as caught:
        parse_settings(raw)

    assert "secret" not in str(caught.value)


def test_something_other_than_a_dict_is_refused() -> None:
    with pytest.raises(SettingsFault, match="COORDINATION must be a dict"):
        parse_settings(None)
