"""Every setting, typed and explained. Read from the environment on first use, never at import."""

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, Json, SecretStr, field_validator

from chalicelib.models.rates import Rate

DEFAULT_PIPELINES = {
    "Timelapse": "chalicelib.pipelines.timelapse.TimelapsePipeline",
    "Photometry": "chalicelib.pipelines.photometry.PhotometryPipeline",
}


class Settings(BaseModel):
    """All settings. The environment variable of a field is its name in upper case.

    boto3 reads its own variables (AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, credentials) itself.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, validate_default=False)

    # Who may write
    asimov_api_key: str | None = Field(
        None, description="One API key, `token:user`; without a colon the user is `api-user`."
    )
    asimov_api_keys_file: Path | None = Field(None, description="YAML file whose `api_keys` maps tokens to users.")
    asimov_api_keys_parameter: str | None = Field(
        None, description="Name of the SSM parameter (SecureString) that holds such YAML, for a deployed stage."
    )
    asimov_config_file: Path = Field(
        Path(".asimov/asimov.conf"),
        description="INI file whose section [api] may name `api_keys_file` and `cors_origins`.",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins whose pages may call the API: `*` or a comma-separated list; none by default."
    )

    # Where things are kept
    ledger_table: str = Field("sidereal-ledger", description="DynamoDB table of events and productions.")
    telescope_table: str = Field("sidereal-telescope", description="DynamoDB table of the telescope records.")
    operations_table: str = Field(
        "sidereal-operations", description="DynamoDB table of counters, list heads, throttles and circuit breakers."
    )
    idempotency_table: str = Field(
        "sidereal-idempotency", description="DynamoDB table of the replies to requests with an `Idempotency-Key`."
    )
    idempotency_hours: float = Field(
        24,
        ge=0.02,  # longer than any request is at work
        le=168,
        description="Hours for which a request with the same `Idempotency-Key` gets the same reply.",
    )
    bucket: str = Field("sidereal-artefacts", description="S3 bucket of all files.")
    timelapse_queue: str = Field("sidereal-timelapse", description="SQS queue (name or URL) of timelapse jobs.")
    pipeline_queue: str = Field("sidereal-pipeline", description="SQS queue (name or URL) of all other pipeline jobs.")
    given_up_queue: str = Field(
        "sidereal-given-up",
        description="SQS queue (name or URL) of messages that were given up, for people to look at.",
    )
    working_directory_root: str = Field(
        "working", description="Folder under which an event's working directory lies by default."
    )

    # HTTP
    max_body_bytes: int = Field(
        4_500_000,
        gt=0,
        description="Largest request body; a Lambda invocation takes 6 MB, a third of it lost to base64.",
    )
    link_lifetime_s: int = Field(900, gt=0, description="Seconds for which a presigned download link works.")
    upload_lifetime_s: int = Field(3600, gt=0, description="Seconds for which a presigned upload is accepted.")
    max_upload_bytes: int = Field(5_000_000_000, gt=0, description="Largest file of a presigned upload, bytes.")

    # Jobs
    pipelines: Json[dict[str, str]] | dict[str, str] = Field(
        default_factory=lambda: dict(DEFAULT_PIPELINES),
        description="JSON object: pipeline name -> dotted path of its class.",
    )
    job_lease_s: float = Field(
        60, gt=0, description="Seconds without a sign of life after which a job may be taken over."
    )
    job_max_tries: int = Field(3, gt=0, description="Times a process is started before it is given up.")
    job_retry_delay_s: int = Field(
        10, ge=0, description="Seconds before a job that failed unexpectedly is delivered again."
    )
    job_reserve_s: float = Field(
        20, ge=0, description="Seconds before the end of a function's time at which a run stops in order."
    )
    job_handover_s: float = Field(
        60, ge=0, description="Seconds before the end of a function's time at which a run is handed over to another."
    )
    job_resend_after_s: float = Field(
        900, gt=0, description="Seconds after which a waiting process gets a new message."
    )
    job_disk_bytes: int = Field(
        6_000_000_000,
        gt=0,
        description="Room for input files in the job's temporary folder; beyond it the oldest are dropped.",
    )

    # Pictures and archives made on request
    rendition_queue: str = Field(
        "sidereal-renditions", description="SQS queue (name or URL) of thumbnails and archives."
    )
    rendition_wait_s: float = Field(
        5, ge=0, le=20, description="Seconds for which a request waits for a thumbnail or an archive to be made."
    )
    archive_max_bytes: int = Field(
        10_000_000_000,
        gt=0,
        description="Largest archive of a group, bytes of its files; a function reads and packs this much in 5 minutes.",
    )

    # Timelapse
    timelapse_format: Literal["gif", "mp4", "webm"] = Field(
        "gif", description="Format of a timelapse: `gif`, `mp4` or `webm`."
    )
    timelapse_fps: float = Field(10, description="Frames per second, 0.01 to 60; a gif has 50 at most.")
    timelapse_size: int = Field(
        500, gt=0, description="Longest side of a timelapse, 16 to 2048 pixels; frames are never enlarged."
    )
    timelapse_crop_scale: float = Field(
        0.5, gt=0, le=1, description="Fraction of each side that the flag `crop` keeps."
    )
    timelapse_colours: Literal["cubehelix", "heat", "ice", "negative"] = Field(
        "cubehelix",
        description="Colours of the flag `colour_map`: `cubehelix`, `heat`, `ice` or `negative`.",
    )

    # Observing
    portal_url: str = Field("https://observe.lco.global", description="Address of the telescope portal.")
    archive_url: str = Field("https://archive-api.lco.global", description="Address of the archive of its frames.")
    portal_token: SecretStr | None = Field(
        None, description="Token of portal and archive, for a laptop; deployed, one of the next two names it."
    )
    portal_token_parameter: str | None = Field(
        None, description="Name of the SSM parameter (SecureString) that holds the token."
    )
    portal_token_secret: str | None = Field(
        None, description="Name or ARN of the Secrets Manager secret that holds the token."
    )
    throttle_observe: Rate = Field(
        Rate(6, 60),
        description="How often one user, or one address, may ask for observations: `<number>/<second|minute|hour|day>`,"
        " the number from 1 to 1000.",
    )
    observe_requires_token: bool = Field(
        False, description="Whether `POST /api/observe/` needs a token, as other writes do; it is open by default."
    )

    # Alerts
    alert_quiet_s: float = Field(
        900,
        ge=0,
        description="Seconds without a new frame after which a timelapse is made of an observation that lacks some.",
    )
    alert_watch_hours: float = Field(
        48,
        gt=0,
        description="Hours for which an observation that has ended is watched: for late frames, or another end.",
    )
    from_email_address: str | None = Field(
        None, description="Sender of e-mail, verified with SES; without it none is sent."
    )
    mail_folder: Path | None = Field(None, description="Folder that takes e-mail instead of SES, for a laptop.")
    public_url: str | None = Field(
        None, description="Address under which people reach this deployment; links in e-mail begin with it."
    )

    @field_validator("throttle_observe", mode="before")
    @classmethod
    def _parse_rate(cls, value: object) -> object:
        return Rate.parse(value) if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
        return value


@cache
def get_settings() -> Settings:
    """Return the settings of this process, read from the environment once."""
    given = {name: os.environ[name.upper()] for name in Settings.model_fields if os.environ.get(name.upper())}
    return Settings.model_validate(given)
