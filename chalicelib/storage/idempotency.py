"""Requests that are done once: `id=POST#<SHA-256>` in the idempotency table, with the reply when it is done (Powertools).

Importing this loads boto3 and Powertools' idempotency, which only requests with an `Idempotency-Key` need.
"""

import json
import uuid
import zlib
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import BasePersistenceLayer, IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord

from chalicelib.errors import KeyReusedError, StillAtWorkError, UnavailableError
from chalicelib.observability import logger
from chalicelib.settings import get_settings
from chalicelib.storage import requests
from chalicelib.storage.requests import ConditionFailedError, Key, Write

BUSY_S = 2
"""Seconds after which a caller may ask again while the first attempt is at work."""

_PREFIX = "POST"
_IS_MINE = "#holder = :mine"
_NAMES = {
    "#holder": "holder",
    "#status": "status",
    "#expires": "expiration",
    "#until": "in_progress_expiration",
    "#body": "validation",
    "#reply": "data",
}

Kept = dict[str, Any]
"""What is kept of a reply: anything that JSON takes."""


class Attempt(BasePersistenceLayer):
    """One attempt at a request, as that in which Powertools keeps its records.

    Powertools' own layer would let an attempt that has outlived its time overwrite the record of the next one, and another
    body in after a crash. So an attempt has a name (`holder`), and each of its writes the condition that the record is its
    own. Its records have the attributes of Powertools', and that.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._holder = uuid.uuid4().hex
        self._id = ""
        self._sealed = ""

    def seal(self, kept: Kept) -> Write:
        """Describe that the request is done, for the transaction that does it: there is no crash between the two."""
        self._sealed = json.dumps(kept, sort_keys=True)
        return self._done(self._sealed)

    def keep_for(self, seconds: int) -> None:
        """Keep the reply no longer than this, where others are kept for longer."""
        self.expires_after_seconds = min(self.expires_after_seconds, seconds)

    def _done(self, text: str) -> Write:
        return requests.update(
            _table(),
            _key(self._id),
            "SET #status = :status, #expires = :expires, #reply = :reply",
            _IS_MINE,
            names={name: _NAMES[name] for name in ("#holder", "#status", "#expires", "#reply")},
            values={
                ":mine": self._holder,
                ":status": STATUS_CONSTANTS["COMPLETED"],
                ":expires": self._get_expiry_timestamp(),
                ":reply": zlib.compress(text.encode()),
            },
            refusal=_still_at_work(),
        )

    def _put_record(self, data_record: DataRecord) -> None:
        """Begin. One PutItem (condition: nothing is kept, or an attempt at the same body has died)."""
        self._id = data_record.idempotency_key
        now_s = self._get_expiry_timestamp() - self.expires_after_seconds  # by Powertools' clock
        item = {
            "status": data_record.status,
            "expiration": data_record.expiry_timestamp,
            "in_progress_expiration": data_record.in_progress_expiry_timestamp,
            "validation": data_record.payload_hash,
            "holder": self._holder,
        }
        write = requests.put(
            _table(),
            _key(self._id),
            item,
            "attribute_not_exists(id) OR #expires < :now"
            " OR (#status = :working AND #until < :now_ms AND #body = :body)",
            names={name: _NAMES[name] for name in ("#expires", "#status", "#until", "#body")},
            values={
                ":now": now_s,
                ":now_ms": now_s * 1000,
                ":working": STATUS_CONSTANTS["INPROGRESS"],
                ":body": data_record.payload_hash,
            },
        )
        try:
            requests.run(write)
        except ConditionFailedError as error:
            seen = error.item or {}
            if seen.get("holder") == self._holder:
                return  # it is ours: the answer was lost, and the client asked again
            old = _record(seen) if seen else None
            if old is not None:
                self._validate_payload(data_record, old)
            raise IdempotencyItemAlreadyExistsError(old_data_record=old) from None

    def _get_record(self, idempotency_key: str) -> DataRecord:
        """Return the record. One GetItem; only where the item that refused a write did not come with its refusal."""
        item = requests.get(_table(), _key(idempotency_key))
        if item is None:
            raise IdempotencyItemNotFoundError
        return _record(item)

    def _update_record(self, data_record: DataRecord) -> None:
        """Keep the reply, unless that was done with what it tells of. One UpdateItem.

        The work is done: if this fails, the caller gets its reply all the same. A repeat is then an attempt of its own, when
        the time of this one is over.
        """
        if data_record.response_data == self._sealed:
            return
        try:
            requests.run(self._done(data_record.response_data))
        except Exception:  # noqa: BLE001 - whatever it is, it is not the caller's
            logger.exception("reply is not kept", extra={"record": self._id})

    def _delete_record(self, data_record: DataRecord) -> None:  # noqa: ARG002 - there is one
        """Forget an attempt that has done nothing. One DeleteItem.

        If it fails, others wait until its time is over; of what was sealed, a process whose message was not taken, they are
        told: its record says that it has failed.
        """
        write = requests.delete(
            _table(), _key(self._id), _IS_MINE, names={"#holder": "holder"}, values={":mine": self._holder}
        )
        try:
            requests.run(write)
        except Exception:  # noqa: BLE001 - the caller is to hear what went wrong before
            logger.exception("attempt is not forgotten", extra={"record": self._id})


def perform(identity: str, fingerprint: str, work: Callable[[Attempt], Kept], context: Any) -> Kept:
    """Do a piece of work, or return what is kept of the time when it was done.

    Whatever the work raises is raised here, and then nothing is kept.

    Parameters
    ----------
    identity : str
        What tells this request from all others, but for its repetitions.
    fingerprint : str
        What tells its body from all others.
    work : callable
        Given the attempt, does it and returns what to keep.
    context : LambdaContext
        Tells how long this attempt can take.

    Raises
    ------
    KeyReusedError
        If another body came under this identity.
    StillAtWorkError
        If another attempt has not ended.
    UnavailableError
        If the table does not answer; nothing is done then.
    """
    attempt = Attempt()
    config = IdempotencyConfig(
        event_key_jmespath="identity",
        payload_validation_jmespath="body",
        expires_after_seconds=int(get_settings().idempotency_hours * 3600),
        hash_function="sha256",
        lambda_context=context,
    )

    def run(*, request: dict[str, str]) -> Kept:  # noqa: ARG001 - Powertools reads it
        return work(attempt)

    once = idempotent_function(
        run, data_keyword_argument="request", persistence_store=attempt, config=config, key_prefix=_PREFIX
    )
    try:
        kept: Kept = once(request={"identity": identity, "body": fingerprint})
    except IdempotencyValidationError:
        raise KeyReusedError("This Idempotency-Key was sent with another body before.") from None
    except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
        raise _still_at_work() from None
    except IdempotencyPersistenceLayerError as error:
        logger.exception("request with a key cannot begin")
        raise UnavailableError("Requests with an Idempotency-Key cannot be taken at the moment; try again.") from error
    return kept


def _still_at_work() -> StillAtWorkError:
    return StillAtWorkError("The first request with this Idempotency-Key has not ended yet.", BUSY_S)


def _record(item: dict[str, Any]) -> DataRecord:
    reply = item.get("data")
    return DataRecord(
        idempotency_key=item["id"],
        status=item["status"],
        expiry_timestamp=item["expiration"],
        in_progress_expiry_timestamp=item.get("in_progress_expiration"),
        payload_hash=item.get("validation", ""),
        response_data=zlib.decompress(bytes(reply)).decode() if reply is not None else "",
    )


def _key(record_id: str) -> Key:
    return {"id": record_id}


def _table() -> str:
    return get_settings().idempotency_table
