"""Moto, quick enough for thousands of tests: what it answers stays the same, the ways that take it long are cut short.

Each of these was found with a profiler; where moto changes, the tests of `tests/storage` tell.
"""

import copy
import copyreg
import pickle
import threading
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

_furnished: dict[str, bytes] = {}
_known: dict[str, dict[str, Any]] = {}
copyreg.pickle(threading.Condition, lambda _: (threading.Condition, ()))  # moto's queues have one; a copy needs its own


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Cut moto's long ways short, until the patch is undone; before `mock_aws` begins."""
    _know_few_services(patch)
    _answer_one_at_a_time(patch)
    _read_attributes_quickly(patch)
    _read_items_quickly(patch)
    _look_up_once(patch)
    _keep_only_what_a_transaction_touches(patch)


def furnish(create: Callable[[], None], what: str) -> None:
    """Make tables, bucket and queues in moto; from the second time on as copies of what was made the first time.

    A dozen requests to moto take longer than most tests.

    Parameters
    ----------
    create : callable
        Makes them.
    what : str
        What tells these from others.
    """
    from moto.dynamodb.models import dynamodb_backends
    from moto.s3.models import s3_backends
    from moto.sqs.models import sqs_backends

    account, region = "123456789012", "us-east-1"
    shelves: list[dict[str, Any]] = [
        dynamodb_backends[account][region].tables,
        sqs_backends[account][region].queues,
        s3_backends[account]["aws"].buckets,
    ]
    if what not in _furnished:
        create()
        _furnished[what] = pickle.dumps([dict(shelf) for shelf in shelves])
        return
    for shelf, things in zip(shelves, pickle.loads(_furnished[what]), strict=True):
        shelf.update(things)


def _know_few_services(patch: pytest.MonkeyPatch) -> None:
    """Let moto know the services of the project alone: it looks through all their addresses at each start and request."""
    from moto import backend_index

    services = ("dynamodb", "s3", "secretsmanager", "ses", "sesv2", "sqs", "ssm")
    known = [entry for entry in backend_index.backend_url_patterns if entry[0] in services]
    patch.setattr(backend_index, "backend_url_patterns", known)


def _answer_one_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Let moto answer one request after the other: DynamoDB's writes with a condition are atomic, moto's are not."""
    from moto.core.botocore_stubber import BotocoreStubber

    lock = threading.RLock()
    answer = BotocoreStubber.__call__

    def answer_alone(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return answer(self, *args, **kwargs)

    patch.setattr(BotocoreStubber, "__call__", answer_alone)


def _read_attributes_quickly(patch: pytest.MonkeyPatch) -> None:
    """Let moto find what a DynamoDB attribute holds at once: it looks for each of ten types under five names."""
    from moto.core.serialize import ResponseSerializer

    look = ResponseSerializer.get_value

    def get_value(self: Any, value: Any, key: str, shape: Any) -> Any:
        if type(value) is dict and len(value) == 1 and not value.keys().isdisjoint(("S", "N", "L", "M", "BOOL")):
            return value.get(key)
        return look(self, value, key, shape)

    patch.setattr(ResponseSerializer, "get_value", get_value)


def _read_items_quickly(patch: pytest.MonkeyPatch) -> None:
    """Let moto write down lists and maps as it goes through them: it copies all that is below, on every level anew."""
    from moto.dynamodb.models.dynamo_type import DynamoType

    write = DynamoType.to_regular_json

    def to_regular_json(self: Any) -> dict[str, Any]:
        if self.type == "L":
            return {"L": [each.to_regular_json() for each in self.value]}
        if self.type == "M":
            return {"M": {name: each.to_regular_json() for name, each in self.value.items()}}
        return write(self)

    patch.setattr(DynamoType, "to_regular_json", to_regular_json)


def _look_up_once(patch: pytest.MonkeyPatch) -> None:
    """Let moto and botocore remember what is the same for every request."""
    from botocore.hooks import EventAliaser
    from botocore.useragent import UserAgentString
    from moto.core import responses
    from moto.dynamodb.comparisons import ConditionExpressionParser
    from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser

    patch.setattr(responses, "method_names_from_class", cache(responses.method_names_from_class))
    patch.setattr(UserAgentString, "to_string", lambda _: "tests")
    find = DepthFirstTraverser.nodes_to_be_processed
    known: dict[type, Any] = {}

    def nodes_to_be_processed(self: Any) -> Any:
        if type(self) not in known:
            known[type(self)] = find(self)
        return known[type(self)]

    patch.setattr(DepthFirstTraverser, "nodes_to_be_processed", nodes_to_be_processed)
    _know_across_tests(patch, EventAliaser, "_alias_event_name")  # each client asks for all its events anew
    _know_across_tests(patch, ConditionExpressionParser, "_lex_one_node")


def _know_across_tests(patch: pytest.MonkeyPatch, kind: type, name: str) -> None:
    """Remember what a method, which looks at nothing but the text it is given, returns."""
    answers, ask = _known.setdefault(name, {}), getattr(kind, name)

    def remembered(self: Any, text: str) -> Any:
        if text not in answers:
            answers[text] = ask(self, text)
        return answers[text]

    patch.setattr(kind, name, remembered)


def _keep_only_what_a_transaction_touches(patch: pytest.MonkeyPatch) -> None:
    """Let a transaction that is refused put back the items it names: moto copies the whole table for each of them."""
    from moto.dynamodb import models

    write = models.DynamoDBBackend.transact_write_items

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        kept = [_keep(self, action) for each in transact_items for action in each.values()]
        try:
            write(self, transact_items)
        except Exception:
            for put_back in kept:
                put_back()
            raise

    patch.setattr(models.DynamoDBBackend, "transact_write_items", transact_write_items)
    # the other thing that is copied there is for streams, which no table has
    patch.setattr(models, "copy", SimpleNamespace(deepcopy=lambda thing: thing))


def _keep(backend: Any, action: dict[str, Any]) -> Callable[[], None]:
    """Return a function that puts the item of a write back as it is now."""
    table = backend.tables[action["TableName"]]
    hash_key, range_key = backend.get_keys_value(table, action.get("Key") or action["Item"])
    item = copy.deepcopy(table.get_item(hash_key, range_key))

    def put_back() -> None:
        table.delete_item(hash_key, range_key)
        if item is None:
            return
        if range_key is None:
            table.items[hash_key] = item
        else:
            table.items[hash_key][range_key] = item

    return put_back
