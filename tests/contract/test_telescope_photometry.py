"""Reduced data over HTTP: the list, the table, and where the newest plot is."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib.models.reduced_data import Point
from chalicelib.pipelines.base import DataProduct, PipelineOutput, ReducedDatum
from chalicelib.services import photometry
from chalicelib.services.processes import delete_process
from chalicelib.storage import lists, processes, reduced_data
from tests.conftest import Answer, Api, Clock
from tests.jobs.conftest import FITS, Jobs
from tests.jobs.pipelines_for_tests import written

MJD = 58_000.25  # 2017-09-04, six o'clock
KEYS = ["id", "target", "data_type", "source_name", "timestamp", "value", "data_product", "process"]


def measure(jobs: Jobs, points: Sequence[Any], *files: str, target: int | None = None) -> int:
    """Run a pipeline that measures points, and makes plots of these names, and return its process."""

    def work(pipeline: Any, folder: Path, flags: Any) -> list[Any]:
        plots = [PipelineOutput(written(folder, name), DataProduct, "plot") for name in files]
        return [PipelineOutput(None, ReducedDatum, "photometry", list(points)), *plots]

    jobs.work(work)
    process = jobs.submit() if target is None else jobs.submit(target=target, products=[])
    jobs.run(process)
    assert jobs.get(process)["status"] == "created", jobs.get(process)
    return process


def series(count: int, first: float = MJD) -> list[tuple[float, float, float, str]]:
    return [(first + number, 14.0 + number / 1000, 0.02, "frame.fits") for number in range(count)]


def listed(jobs: Jobs, query: str = "") -> Answer:
    return jobs.api.get(f"/api/reduceddatums/?target={jobs.target}{query}")


def walk(jobs: Jobs, limit: int) -> list[list[Any]]:
    """Follow `next` to the end, then `previous` back to the beginning, and return both ways' pages."""
    pages, back = [], []
    answer = listed(jobs, f"&limit={limit}").json
    while True:
        pages.append(answer["results"])
        if answer["next"] is None:
            break
        answer = follow(jobs, answer["next"])
    while True:
        back.append(answer["results"])
        if answer["previous"] is None:
            break
        answer = follow(jobs, answer["previous"])
    return [pages, back]


def follow(jobs: Jobs, url: str) -> Any:
    parts = urlsplit(url)
    assert parts.path == "/api/reduceddatums/"
    return jobs.api.get(f"{parts.path}?{parts.query}").json


def test_a_point_is_shown_with_the_fields_of_tom_toolkit(jobs: Jobs) -> None:
    point = (MJD, 14.1, 0.02, "frame.fits", {"filter": "rp", "airmass": 1.25})
    process = measure(jobs, [point])
    answer = listed(jobs)
    assert answer.status == 200
    assert (answer.json["count"], answer.json["next"], answer.json["previous"]) == (1, None, None)
    (datum,) = answer.json["results"]
    assert list(datum) == KEYS
    assert datum == {
        "id": 1,
        "target": jobs.target,
        "data_type": "photometry",
        "source_name": f"{jobs.get(process)['identifier']}_58000",
        "timestamp": 1504504800.0,
        "value": {"magnitude": 14.1, "error": 0.02, "filter": "rp", "airmass": 1.25},
        "data_product": jobs.product,
        "process": process,
    }
    assert '"magnitude": 14.1, "error": 0.02' in answer.text


def test_a_file_name_that_is_no_input_leaves_the_data_product_null(jobs: Jobs) -> None:
    jobs.api.upload(jobs.target, "other.fits", FITS)
    measure(jobs, [(MJD, 14, 0.1, "other.fits"), (MJD + 1, 14, 0.1, None), (MJD + 2, 14, 0.1, "/tmp/x/frame.fits")])
    assert [each["data_product"] for each in listed(jobs).json["results"]] == [None, None, jobs.product]


def test_the_photometry_of_a_target_is_null_until_there_is_some(jobs: Jobs) -> None:
    address = f"/api/target/{jobs.target}/photometry/"
    assert jobs.api.get(address).json == {"csv": None, "plot": None}
    measure(jobs, series(1))
    answer = jobs.api.get(address)
    assert (answer.status, list(answer.json)) == (200, ["csv", "plot"])
    assert answer.json["csv"] == f"https://localhost/targets/{jobs.target}/data/download/"
    assert answer.json["plot"] is None
    assert jobs.api.get(urlsplit(answer.json["csv"]).path).status == 200
    assert list(jobs.api.get(f"/api/target/{jobs.target}/").json) == ["target", "timelapses"]


def plot_of(jobs: Jobs) -> str | None:
    url = jobs.api.get(f"/api/target/{jobs.target}/photometry/").json["plot"]
    if url is not None:
        assert url.startswith("http")
        assert jobs.api.get(urlsplit(url).path).status == 302
    return None if url is None else urlsplit(url).path.rpartition("_")[2]


def test_the_plot_is_the_newest_of_the_target_and_a_deleted_one_gives_way_to_the_one_before(
    jobs: Jobs, clock: Clock
) -> None:
    measure(jobs, [], "first.png", "second.png")
    assert plot_of(jobs) == "second.png"
    clock.advance(10)
    uploaded = jobs.api.upload(jobs.target, "up_own.png", b"PNG", data_product_type="plot").json["id"]
    assert plot_of(jobs) == "own.png"
    clock.advance(10)
    measure(jobs, [], "third.png")
    assert plot_of(jobs) == "third.png"
    for left in ("own.png", "second.png", "first.png", None):
        newest = jobs.api.get(f"/api/target/{jobs.target}/photometry/").json["plot"]
        (product,) = (each["id"] for each in jobs.outputs() if newest.endswith(each["url"]))
        assert jobs.api.delete(f"/api/dataproducts/{product}/").status == 204
        assert plot_of(jobs) == left
    assert jobs.api.get(f"/api/dataproducts/{uploaded}/").status == 404


def test_a_plot_of_a_presigned_upload_counts_once_it_is_complete(jobs: Jobs) -> None:
    given = {"target": jobs.target, "filename": "up_own.png", "size": 3, "data_product_type": "plot"}
    product = jobs.api.post("/api/dataproducts/", given).json["id"]
    assert plot_of(jobs) is None
    key = f"uploads/{jobs.target}/{product}/up_own.png"
    jobs.aws.s3.put_object(Bucket=jobs.aws.name("sidereal-artefacts"), Key=key, Body=b"PNG")
    assert jobs.api.post(f"/api/dataproducts/{product}/complete/").status == 200
    assert plot_of(jobs) == "own.png"


def test_the_table_has_the_lines_of_tom_education_in_the_order_of_time(jobs: Jobs, clock: Clock) -> None:
    measure(jobs, [(MJD + 0.5, 14.2, 0.03, "frame.fits"), (MJD, 14.1, 0.02, "frame.fits")])
    clock.advance(5)
    measure(jobs, [(MJD + 1e-5, 13, 1e-7, "frame.fits")])
    answer = jobs.api.get(f"/targets/{jobs.target}/data/download/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment; filename=\"M_13.csv\"; filename*=UTF-8''M%2013.csv"
    assert answer.text.splitlines() == [
        "2017-09-04T06:00:00+00:00,14.1,0.02",
        "2017-09-04T06:00:00.864000+00:00,13.0,1e-07",
        "2017-09-04T18:00:00+00:00,14.2,0.03",
    ]


def test_a_table_of_one_process_has_its_points_only(jobs: Jobs, clock: Clock) -> None:
    first = measure(jobs, [(MJD, 14.1, 0.02, None)])
    clock.advance(5)
    measure(jobs, [(MJD, 2.5, 0.02, None)])
    table = f"/targets/{jobs.target}/data/download/?process="
    assert jobs.api.get(f"{table}{first}").text == "2017-09-04T06:00:00+00:00,14.1,0.02\r\n"
    assert (jobs.api.get(f"{table}99").status, jobs.api.get(f"{table}99").json) == (404, {"detail": "Not found."})
    for wrong in ("abc", "1.5", "-1", "9" * 30):
        answer = jobs.api.get(f"{table}{wrong}")
        assert (answer.status, answer.json) == (400, {"process": ["A valid integer is required."]}), wrong


def test_a_target_without_points_has_an_empty_table_and_an_unknown_one_none(jobs: Jobs) -> None:
    answer = jobs.api.get(f"/targets/{jobs.target}/data/download/")
    assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "", "text/csv; charset=utf-8")
    for target in ("99", "abc", "1.5", "9" * 30):
        for address in (f"/targets/{target}/data/download/", f"/api/target/{target}/photometry/"):
            missing = jobs.api.get(address)
            assert (missing.status, missing.json) == (404, {"detail": "Not found."}), address


def test_a_name_in_any_script_makes_a_proper_header(jobs: Jobs) -> None:
    target = jobs.api.target('Звезда "α"; x')
    header = jobs.api.get(f"/targets/{target}/data/download/").headers["content-disposition"]
    assert header.isascii()
    assert header.startswith("attachment; filename=\"_x.csv\"; filename*=UTF-8''%D0%97")


def test_a_table_too_long_for_one_answer_has_the_points_of_the_newest_runs(
    jobs: Jobs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photometry, "MAX_POINTS", 5)
    for first in (MJD, MJD + 100, MJD + 200):
        clock.advance(1)
        measure(jobs, series(2, first))
    times = [line[:10] for line in jobs.api.get(f"/targets/{jobs.target}/data/download/").text.splitlines()]
    assert times == ["2017-12-13", "2017-12-14", "2018-03-23", "2018-03-24"]


def test_the_longest_table_stays_below_what_a_function_can_answer() -> None:
    point = Point(58_000.123456789, -1.2345678901234567e-300, -1.2345678901234567e-300)
    line = f"{point.moment.isoformat()},{point.magnitude!r},{point.error!r}\r\n"
    assert len(line) <= 84
    assert photometry.MAX_POINTS * 84 < 4_500_000


def test_pages_walk_through_all_runs_and_back_whatever_their_size(jobs: Jobs, clock: Clock) -> None:
    expected = []
    for run, count in enumerate((3, 1, 5, 2)):
        clock.advance(1)
        measure(jobs, series(count, MJD - 100 * run)[::-1])  # newer runs measured older nights
        expected += [MJD - 100 * run + number for number in range(count)]
    for limit in (1, 3, 4, 5, 7, 100):
        pages, back = walk(jobs, limit)
        shown = [each for page in pages for each in page]
        assert [each["timestamp"] for each in shown] == [(mjd - 40_587) * 86_400 for mjd in expected]
        assert len({each["id"] for each in shown}) == len(shown) == 11
        assert all(len(page) == limit for page in pages[:-1])
        assert [each for page in back[::-1] for each in page] == shown
        assert listed(jobs, f"&limit={limit}").json["count"] == 11


def test_pages_cross_blocks(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced_data, "BLOCK", 4)
    monkeypatch.setattr(reduced_data, "_BLOCKS_TOGETHER", 2)
    monkeypatch.setattr(reduced_data, "_BLOCKS_READ_TOGETHER", 2)
    measure(jobs, series(21))
    for limit in (3, 4, 6):
        pages, back = walk(jobs, limit)
        assert [each["id"] for page in pages for each in page] == list(range(1, 22))
        assert [each["id"] for page in back[::-1] for each in page] == list(range(1, 22))
    assert len(jobs.api.get(f"/targets/{jobs.target}/data/download/").text.splitlines()) == 21


def test_a_page_whose_run_was_deleted_meanwhile_goes_on_behind_it(jobs: Jobs, clock: Clock) -> None:
    first = measure(jobs, series(3))
    clock.advance(1)
    second = measure(jobs, series(3))
    page = listed(jobs, "&limit=2").json
    delete_process(processes.get(first))
    behind = follow(jobs, page["next"])
    assert [each["process"] for each in behind["results"]] == [second, second]
    assert behind["count"] == 3
    assert jobs.api.get(f"/api/target/{jobs.target}/photometry/").json["csv"] is not None
    delete_process(processes.get(second))
    assert listed(jobs).json["count"] == 0
    assert jobs.api.get(f"/api/target/{jobs.target}/photometry/").json["csv"] is None


def test_points_of_other_targets_are_not_shown(jobs: Jobs) -> None:
    measure(jobs, series(2))
    other = jobs.api.target("M 92")
    assert jobs.api.get(f"/api/reduceddatums/?target={other}").json == {
        "count": 0, "next": None, "previous": None, "results": [],
    }  # fmt: skip
    assert jobs.api.get("/api/reduceddatums/?target=9999").json["results"] == []


def test_a_wrong_parameter_is_named(api: Api) -> None:
    wrong = {
        "": {"target": ["This parameter is required."]},
        "target=": {"target": ["This parameter is required."]},
        "target=abc": {"target": ["A valid integer is required."]},
        "target=-1": {"target": ["A valid integer is required."]},
        "target=" + "9" * 40: {"target": ["A valid integer is required."]},
        "target=1&limit=0": {"limit": ["must be a number from 1 to 500"]},
        "target=1&limit=501": {"limit": ["must be a number from 1 to 500"]},
        "target=1&next=nonsense": {"next": ["not a cursor of this list (reduceddata)"]},
    }
    for query, told in wrong.items():
        answer = api.get(f"/api/reduceddatums/?{query}")
        assert (answer.status, answer.json) == (400, told), query


def test_a_cursor_made_up_by_the_caller_is_refused(api: Api) -> None:
    order = "2026-01-10T03:04:05.678901Z#000000000000001"
    made_up: list[Any] = [
        [1, 0, "~", True],
        [1, 0, "zzz", True],
        [1, -1, order, True],
        [1, 10**9, order, True],
        [1, 0, f"{order}\n", True],
        [1, 0, "x" * 2000, False],
        [1, 0, None, True],
        [2, 0, order, True],
        [1, 0, order, 1],
    ]
    for each in made_up:
        cursor = base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=")
        answer = api.get(f"/api/reduceddatums/?target=1&next={cursor}")
        assert (answer.status, answer.json) == (400, {"next": ["not a cursor of this list (reduceddata)"]}), each


def test_a_cursor_beyond_what_there_is_is_legal(jobs: Jobs) -> None:
    measure(jobs, series(3))
    for order in ("0001-01-01T00:00:00.000000Z#000000000000001", "9999-01-01T00:00:00.000000Z#999999999999999"):
        for is_forward in (True, False):
            cursor = lists.encode_cursor(99_999_999, order, is_forward=is_forward)
            answer = listed(jobs, f"&next={cursor}")
            expected = 3 if is_forward == order.startswith("0") else 0
            assert (answer.status, len(answer.json["results"])) == (200, expected)


def test_reduced_data_are_written_by_pipelines_only(api: Api) -> None:
    for address in ("/api/reduceddatums/", "/api/target/1/photometry/", "/targets/1/data/download/"):
        for method in ("POST", "DELETE", "PUT", "PATCH"):
            answer = api.request(method, address, {})
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_async_and_target_detail_apis_do_not_see_reduced_data(jobs: Jobs) -> None:
    process = measure(jobs, series(2), "a.png")
    (shown,) = jobs.api.get(f"/api/async/status/{jobs.target}/").json["processes"]
    assert shown["view_url"] == f"/pipeline/{process}"
    assert jobs.api.get(f"/api/target/{jobs.target}/").json["timelapses"] == []
    assert jobs.log(process) == ""
