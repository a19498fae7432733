"""Tables, bucket and queues: the one description that tests, local machines and the deployment template are made from.

Which record lies under which key is written in docs/data-model.md.
"""

from dataclasses import dataclass
from typing import Any

from chalicelib.settings import get_settings

LIST_INDEX = "by_list"
"""Sparse index of all lists: `list_pk` names a list and its bucket, `list_sk` orders its members."""

MAX_DELIVERIES = 3
"""Deliveries of a message before it goes to the dead-letter queue."""

JOB_TIMEOUT_S = 900
"""Longest run of a job function: Lambda's own limit."""

VISIBILITY_TIMEOUT_S = JOB_TIMEOUT_S + 60
"""SQS refuses a function whose timeout is above its queue's visibility timeout."""

DEAD_LETTER_QUEUE = "sidereal-dead-letters"

KEPT_DAYS = {"thumbnails": 90, "archives": 3}
"""Days after which what was made on request is forgotten, by the folder of the bucket; asked for again, it is made again."""


@dataclass(frozen=True)
class Table:
    """One DynamoDB table, billed on demand; its key has one attribute or two."""

    name: str
    has_lists: bool = False
    ttl_attribute: str | None = None
    key: tuple[str, ...] = ("pk", "sk")

    def creation(self) -> dict[str, Any]:
        """Return the arguments of `create_table`, which are the properties of the template's resource too."""
        keys = [*self.key, *(["list_pk", "list_sk"] if self.has_lists else [])]
        creation: dict[str, Any] = {
            "TableName": self.name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "KeySchema": _key_schema(*self.key),
        }
        if self.has_lists:
            creation["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": LIST_INDEX,
                    "KeySchema": _key_schema("list_pk", "list_sk"),
                    "Projection": {"ProjectionType": "ALL"},
                }
            ]
        return creation


@dataclass(frozen=True)
class Queue:
    """One SQS queue; those with jobs hand what fails too often to the dead-letter queue."""

    name: str
    has_dead_letters: bool = True

    def attributes(self, dead_letter_arn: str | None = None) -> dict[str, Any]:
        """Return the attributes of `create_queue`, with numbers as numbers."""
        attributes: dict[str, Any] = {"VisibilityTimeout": VISIBILITY_TIMEOUT_S, "MessageRetentionPeriod": 14 * 86_400}
        if self.has_dead_letters and dead_letter_arn is not None:
            attributes["RedrivePolicy"] = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": MAX_DELIVERIES}
        return attributes


def tables() -> list[Table]:
    """Return all tables, under the names that the settings give them."""
    settings = get_settings()
    return [
        Table(settings.ledger_table, has_lists=True),
        Table(settings.telescope_table, has_lists=True, ttl_attribute="expires_at"),
        Table(settings.operations_table, ttl_attribute="expires_at"),
        Table(settings.idempotency_table, ttl_attribute="expiration", key=("id",)),
    ]


def queues() -> list[Queue]:
    """Return all queues, the dead-letter queue first."""
    settings = get_settings()
    return [
        Queue(DEAD_LETTER_QUEUE, has_dead_letters=False),
        Queue(settings.given_up_queue, has_dead_letters=False),
        Queue(settings.timelapse_queue),
        Queue(settings.pipeline_queue),
        Queue(settings.rendition_queue),
    ]


def bucket_cors() -> dict[str, Any] | None:
    """Return the CORS rules of the bucket: pages of the origins in CORS_ORIGINS may upload with a presigned POST.

    None where no origin is set: S3 has no empty rules.
    """
    origins = list(get_settings().cors_origins)
    if not origins:
        return None
    return {"CORSRules": cors_rules(origins)}


def cors_rules(origins: Any) -> list[dict[str, Any]]:
    """Return the CORS rules of a bucket for these origins, or for what stands for them in a template."""
    return [{"AllowedMethods": ["GET", "POST"], "AllowedOrigins": origins, "AllowedHeaders": ["*"]}]


def _key_schema(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]
