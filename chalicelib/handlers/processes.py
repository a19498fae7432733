"""Pipelines and their processes, with tom_education's pipeline process API."""

from chalice import Blueprint

from chalicelib import clock
from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.models.pipelines import PublicPipeline
from chalicelib.models.processes import Process, ProcessDetail, ProcessesThatRun, ProcessInput, ProcessLog
from chalicelib.models.validation import validate_telescope
from chalicelib.pipelines import registry
from chalicelib.services import processes as service
from chalicelib.storage import process_rows, processes

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)


@operation({200: list[PublicPipeline]})
def list_pipelines(_request: Request) -> Reply:
    """List the pipelines with their flags and suffixes."""
    return Reply([registry.describe(name, pipeline) for name, pipeline in registry.all_pipelines().items()])


@operation({200: ProcessesThatRun}, parameters=(paging.LIMIT,))
def list_open_processes(request: Request) -> Reply:
    """List the newest processes that have not ended, of all targets; 100 unless `limit` says otherwise."""
    found = process_rows.newest_open(paging.limit_of(request, 100))
    answer: ProcessesThatRun = {
        "timestamp": clock.now().timestamp(),
        "count": found.count,
        "is_all": found.is_all,
        "processes": [row.public() for row in found.newest],
    }
    return Reply(answer)


@operation({202: ProcessDetail}, takes=ProcessInput)
def start_process(request: Request) -> Reply:
    """Start a pipeline; the answer comes before its run."""
    given = validate_telescope(ProcessInput, request.json_object())
    process = service.submit_process(
        given, request.user, seal=lambda process: request.seal(_accepted(process, request))
    )
    return _accepted(process, request)


@operation({200: ProcessDetail})
def get_process(request: Request) -> Reply:
    """Show a process with its progress."""
    return Reply(processes.get(request.id("process_id")).detail())


@operation({200: ProcessLog})
def get_process_log(request: Request) -> Reply:
    """Pipeline process API."""
    process, log = processes.get_with_log(request.id("process_id"))
    answer: ProcessLog = {**process.public(), "logs": log, **process.group()}
    return Reply(answer)


@operation({200: ProcessDetail}, refuses=(409,))
def cancel_process(request: Request) -> Reply:
    """Stop a process for good."""
    return Reply(service.cancel_process(request.id("process_id"), request.user).detail())


@operation({202: ProcessDetail}, refuses=(409,))
def retry_process(request: Request) -> Reply:
    """Start a failed process again."""
    return _accepted(service.retry_process(request.id("process_id"), request.user), request)


def _accepted(process: Process, request: Request) -> Reply:
    return Reply(process.detail(), 202, {"Location": f"{request.stage_prefix}/api/pipeline/{process.id}/"})


router.add("/api/pipelines", GET=list_pipelines)
router.add("/api/async/status", GET=list_open_processes)
router.add("/api/pipeline", POST=start_process)
router.add("/api/pipeline/{process_id}", GET=get_process)
router.add("/api/pipeline/{process_id}/cancel", POST=cancel_process)
router.add("/api/pipeline/{process_id}/retry", POST=retry_process)
router.add("/api/pipeline/logs/{process_id}", GET=get_process_log)
