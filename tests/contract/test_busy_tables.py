"""DynamoDB may return fewer records of a batch than it was asked for, again and again: whoever reads several is told so."""

from typing import Any

import pytest

from chalicelib.errors import UnavailableError
from tests.conftest import Api

ADDRESSES = (
    "/api/v1/events/",
    "/api/targets/?cone_search=250,36,1",
    "/api/reduceddatums/?target=1",
    "/api/target/1/photometry/",
    "/api/dataproductgroups/1/zip/",
    "/",
    "/events/",
    "/targets/1/",
    "/pipeline/1",
    "/dataproducts/data/group/1/",
    "/dataproducts/data/group/1/zip/",
)


def test_whoever_reads_records_together_is_told_when_they_cannot_be_read(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = api.target()
    group = api.post("/api/dataproductgroups/", {"name": "Frames"}).json["id"]
    product = api.upload(target, "a.fits", b"SIMPLE  =", group=[group]).json["id"]
    api.post("/api/pipeline/", {"target": target, "pipeline": "Timelapse", "products": [product]})

    def read(*_: Any, **__: Any) -> Any:
        raise UnavailableError("The records cannot be read at the moment; try again.")

    monkeypatch.setattr("chalicelib.storage.requests.get_many", read)
    for address in ADDRESSES:
        answer = api.get(address)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5"), address
