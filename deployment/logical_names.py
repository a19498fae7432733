"""What is called how in the deployment template: the logical names of tables, queues, functions and layers."""

from typing import Any

from chalicelib.storage import schema

TABLES = {
    "ledger": "LedgerTable",
    "telescope": "TelescopeTable",
    "operations": "OperationsTable",
    "idempotency": "IdempotencyTable",
}
QUEUES = {
    "dead-letters": "DeadLetterQueue",
    "given-up": "GivenUpQueue",
    "timelapse": "TimelapseQueue",
    "pipeline": "PipelineQueue",
    "renditions": "RenditionQueue",
}
FUNCTIONS = {
    "api": "APIHandler",
    "run_timelapse": "RunTimelapse",
    "run_pipeline": "RunPipeline",
    "make_rendition": "MakeRendition",
    "run_dead_letters": "RunDeadLetters",
    "sweep": "Sweep",
    "process_alerts": "ProcessAlerts",
}
QUEUE_OF = {
    "run_timelapse": "timelapse",
    "run_pipeline": "pipeline",
    "make_rendition": "renditions",
    "run_dead_letters": "dead-letters",
}
LAYERS = {"timelapse": "TimelapseLayer", "pipeline": "PipelineLayer"}
LAYER_OF = {"run_timelapse": "timelapse", "make_rendition": "timelapse", "run_pipeline": "pipeline"}
"""Which of them a function carries: all the libraries together would be larger than Lambda takes."""

BUCKET = "Artefacts"
API = "RestAPI"
"""The name that Chalice gives it."""

NOTHING = {"Ref": "AWS::NoValue"}
"""As a value: the property is left out."""

PLACES = {
    "LEDGER_TABLE": TABLES["ledger"],
    "TELESCOPE_TABLE": TABLES["telescope"],
    "OPERATIONS_TABLE": TABLES["operations"],
    "IDEMPOTENCY_TABLE": TABLES["idempotency"],
    "BUCKET": BUCKET,
    "TIMELAPSE_QUEUE": QUEUES["timelapse"],
    "PIPELINE_QUEUE": QUEUES["pipeline"],
    "RENDITION_QUEUE": QUEUES["renditions"],
    "GIVEN_UP_QUEUE": QUEUES["given-up"],
}
"""The settings that say where things are kept, and what CloudFormation's `Ref` of which resource they are."""


def log_group(function: str) -> str:
    """Return the logical name of a function's log group."""
    return f"{FUNCTIONS[function]}Logs"


def layer_file(layer: str) -> str:
    """Return the name of a layer's zip file beside the template."""
    return f"{layer}-layer.zip"


def ref(logical: str) -> dict[str, Any]:
    """Return the name of a resource; of a queue its URL."""
    return {"Ref": logical}


def arn(logical: str) -> dict[str, Any]:
    """Return the ARN of a resource."""
    return {"Fn::GetAtt": [logical, "Arn"]}


def index_arn(table: str) -> dict[str, Any]:
    """Return the ARN of the index of a table's lists."""
    return {"Fn::Sub": f"${{{TABLES[table]}.Arn}}/index/{schema.LIST_INDEX}"}


def objects_arn(folder: str) -> dict[str, Any]:
    """Return the ARN of all files in a folder of the bucket."""
    return {"Fn::Sub": f"${{{BUCKET}.Arn}}/{folder}/*"}
