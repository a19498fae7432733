"""Reduced data: what pipelines have measured of a target, as a list, as a table, and where its plot is."""

import re
from urllib.parse import quote

from chalice import Blueprint

from chalicelib.handlers import paging
from chalicelib.handlers.http import Router
from chalicelib.handlers.operations import Content, Parameter, operation
from chalicelib.handlers.replies import TELESCOPE, Reply
from chalicelib.handlers.request import Request
from chalicelib.handlers.targets import page_of
from chalicelib.models.answers import Listing
from chalicelib.models.fields import ParameterId
from chalicelib.models.reduced_data import PhotometryAddresses, PublicDatum
from chalicelib.services.photometry import photometry_table
from chalicelib.storage import reduced_data, targets

blueprint = Blueprint(__name__)
router = Router(blueprint, TELESCOPE)

PROCESS = Parameter("process", "Only points that the process with this id has measured.", ParameterId)
TABLE = Content(
    "text/csv", "Time (ISO 8601, UTC), magnitude and error of each point, in the order of time, without a header."
)


@operation({200: Listing[PublicDatum]}, parameters=(paging.TARGET, paging.LIMIT, paging.NEXT), refuses=(503,))
def list_reduced_data(request: Request) -> Reply:
    """List the reduced data of a target: run after run, each in the order of time."""
    target_id = paging.target_of(request)
    limit = paging.limit_of(request, 100)
    shown, total, page = reduced_data.read_page(target_id, limit, request.query.get("next"))
    return page_of(shown, total, page, request)


@operation({200: PhotometryAddresses}, refuses=(503,))
def get_photometry(request: Request) -> Reply:
    """Say where the table of a target's points and its newest plot are; null until there is one."""
    target_id = request.id("target_id")
    summary = reduced_data.summarise(target_id)
    table = f"{request.base_url}/targets/{target_id}/data/download/"
    addresses: PhotometryAddresses = {
        "csv": table if summary.point_count > 0 else None,
        "plot": summary.plot_url and f"{request.base_url}{summary.plot_url}",
    }
    return Reply(addresses)


@operation({200: TABLE}, parameters=(PROCESS,), refuses=(503,))
def download_photometry(request: Request) -> Reply:
    """Return the points of a target, or of the one process that the parameter `process` names, as comma-separated text."""
    process_id = paging.id_of(request, "process")
    target = targets.get(request.id("target_id"))
    plain = re.sub(r"[^A-Za-z0-9+-]+", "_", target.name)
    name = f"attachment; filename=\"{plain}.csv\"; filename*=UTF-8''{quote(target.name, safe='')}.csv"
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": name, "Cache-Control": "no-cache"}
    return Reply(photometry_table(target.id, process_id), 200, headers)


router.add("/api/reduceddatums", GET=list_reduced_data)
router.add("/api/target/{target_id}/photometry", GET=get_photometry)
router.add("/targets/{target_id}/data/download", GET=download_photometry)
