"""The archive's frames and their files."""

import hashlib
from typing import Any
from urllib.parse import parse_qs

import pytest

from chalicelib.errors import UnavailableError, UpstreamError
from chalicelib.facilities import lco_archive
from chalicelib.facilities.base import Frame, FrameUnavailableError
from chalicelib.facilities.lco import LcoFacility
from tests.facilities.scripted import ScriptedServer, Told

NAME = "tfn0m414-sq32-20261122-0042-e91.fits.fz"
CONTENT = bytes(range(256)) * 10_000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def entry(frame_id: int = 7, name: str | None = NAME, **fields: Any) -> dict[str, Any]:
    version = {"id": 1, "created": "2026-11-22T14:00:00Z", "key": "k", "md5": MD5, "extension": ".fits.fz", "url": "v"}
    base = {"id": frame_id, "filename": name, "url": "http://127.0.0.1:1/f", "version_set": [version], "request_id": 12}
    return {**base, **fields}


def page(*results: Any, **fields: Any) -> Told:
    return Told(200, {"count": 9999, "count_estimated": True, "next": None, "results": list(results), **fields})


def frames(lco: LcoFacility) -> list[Frame]:
    return list(lco.frames("12"))


def test_the_reduced_frames_of_a_request_are_listed(lco: LcoFacility, server: ScriptedServer) -> None:
    raw = NAME.replace("e91", "e00")
    server.on("GET", "/frames/", page(entry(7), entry(8, raw), entry(9, NAME.replace(".fits.fz", ".fits"))))
    assert [frame.id for frame in frames(lco)] == ["7", "9"]
    assert frames(lco)[0] == Frame("7", NAME, "http://127.0.0.1:1/f", MD5)
    assert parse_qs(server.asked[-1].query) == {"request_id": ["12"], "limit": ["1000"]}


def test_pages_are_followed_and_not_counted(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on(
        "GET",
        "/frames/",
        page(entry(7), next=f"{server.address}/frames/?cursor=a"),
        page(next=f"{server.address}/frames/?cursor=b", count=0),
        page(entry(9)),
    )
    assert [frame.id for frame in frames(lco)] == ["7", "9"]
    assert [one.query for one in server.asked[1:]] == ["cursor=a", "cursor=b"]


@pytest.mark.parametrize("frame_id", ["\ud800", "7\n", "x" * 51, "", None, 1.5])
def test_a_frame_that_cannot_be_asked_for_by_its_id_is_left_out(
    lco: LcoFacility, server: ScriptedServer, frame_id: Any
) -> None:
    server.on("GET", "/frames/", page(entry(frame_id), entry(8)))
    assert [frame.id for frame in frames(lco)] == ["8"]


def test_a_list_that_goes_round_in_circles_is_given_up(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/frames/", page(entry(7), next=f"{server.address}/frames/?cursor=a"))
    with pytest.raises(UpstreamError):
        frames(lco)
    assert len(server.asked) == 2


@pytest.mark.parametrize("told", [[], {}, {"results": 3}, b"<html>"])
def test_a_list_that_makes_no_sense_is_not_an_empty_one(lco: LcoFacility, server: ScriptedServer, told: Any) -> None:
    server.on("GET", "/frames/", Told(200, told))
    with pytest.raises(UpstreamError):
        frames(lco)


def test_a_frame_without_a_file_name_is_called_by_basename_and_extension(
    lco: LcoFacility, server: ScriptedServer
) -> None:
    server.on("GET", "/frames/", page(entry(7, None, basename="x-e91"), entry(8, "", basename="y-e91", version_set=[])))
    assert [frame.name for frame in frames(lco)] == ["x-e91.fits.fz", "y-e91.fits.fz"]


@pytest.mark.parametrize(
    "name", ["../e91.fits.fz", "/etc/e91", "a\\e91.fits", "e91\n.fits", ".e91.fits", "e91" * 100, "e91\u202e.fits", 5]
)
def test_a_name_that_is_no_files_is_left_out(lco: LcoFacility, server: ScriptedServer, name: Any) -> None:
    server.on("GET", "/frames/", page(entry(7, name), entry(8)))
    assert [frame.id for frame in frames(lco)] == ["8"]


def test_entries_that_make_no_sense_are_left_out(lco: LcoFacility, server: ScriptedServer) -> None:
    odd = [None, 5, entry(id=None), entry(id=True), entry(version_set=[5], url=5, id=8)]
    server.on("GET", "/frames/", page(*odd))
    assert frames(lco) == [Frame("8", NAME, None, None)]


def test_frames_of_another_request_are_left_out(lco: LcoFacility, server: ScriptedServer) -> None:
    """As an archive that does not know the filter would list them."""
    ours = {"request_id": None, "REQNUM": "0000000012"}
    server.on("GET", "/frames/", page(entry(7, request_id=13), entry(8, request_id=None, REQNUM=13), entry(9, **ours)))
    assert [frame.id for frame in frames(lco)] == ["9"]


def test_the_checksum_is_that_of_the_newest_version(lco: LcoFacility, server: ScriptedServer) -> None:
    old = {"created": "2026-11-22T13:00:00Z", "md5": "0" * 32}
    new = {"created": "2026-11-22T15:00:00Z", "md5": "F" * 32}
    server.on("GET", "/frames/", page(entry(version_set=[old, new, {"created": None}])))
    assert frames(lco)[0].md5 == "f" * 32


@pytest.mark.parametrize("etag", ["d41d8cd98f00b204e9800998ecf8427e-3", "", None, 5])
def test_what_is_no_md5_is_no_checksum(lco: LcoFacility, server: ScriptedServer, etag: Any) -> None:
    """The archive keeps S3's ETag, which is none for a file that came in parts."""
    server.on("GET", "/frames/", page(entry(version_set=[{"md5": etag}])))
    assert frames(lco)[0].md5 is None


def fetch(lco: LcoFacility, frame: Frame) -> bytes:
    with lco.open_frame(frame) as pieces:
        taken = list(pieces)
    assert all(len(piece) <= 1_000_000 for piece in taken)
    return b"".join(taken)


def linked(server: ScriptedServer, path: str = "/bucket/f", md5: str | None = MD5) -> Frame:
    return Frame("7", NAME, f"{server.address}{path}?X-Amz-Signature=secret", md5)


def test_a_file_is_fetched_in_pieces_and_without_the_token(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/bucket/f", Told(200, CONTENT))
    assert fetch(lco, linked(server)) == CONTENT
    assert "Authorization" not in server.asked[-1].headers


def test_a_file_that_drips_is_handed_on_as_it_comes_and_given_up_when_it_is_too_slow(
    lco: LcoFacility, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lco_archive, "PIECE_S", 0.0)
    monkeypatch.setattr(lco_archive, "GRACE_S", 0.2)
    server.on("GET", "/bucket/f", Told(200, CONTENT, drip_s=0.01))
    got = []
    with lco.open_frame(linked(server)) as pieces, pytest.raises(FrameUnavailableError, match="too slowly"):
        got.extend(pieces)
    assert 1 < len(b"".join(got)) < 100


def test_a_list_whose_pages_take_too_long_together_is_given_up(
    lco: LcoFacility, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lco_archive, "LISTING_S", 0.3)
    pages = [page(next=f"{server.address}/frames/?cursor={number}") for number in range(9)]
    for told in pages:
        told.wait_s = 0.08
    server.on("GET", "/frames/", *pages, page())
    with pytest.raises(UnavailableError):
        frames(lco)


def test_a_store_may_lead_on_to_another_place(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/bucket/f", Told(302, b"", {"Location": f"{server.address}/region/f"}))
    server.on("GET", "/region/f", Told(200, CONTENT))
    assert fetch(lco, linked(server)) == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_link_that_has_run_out_is_asked_for_once_more(lco: LcoFacility, server: ScriptedServer, status: int) -> None:
    server.on("GET", "/bucket/f", Told(status, b"<Error/>"))
    server.on("GET", "/frames/7/", Told(200, entry(url=f"{server.address}/bucket/fresh?X-Amz-Signature=new")))
    server.on("GET", "/bucket/fresh", Told(200, CONTENT))
    assert fetch(lco, linked(server)) == CONTENT
    assert server.paths() == ["/bucket/f", "/frames/7/", "/bucket/fresh"]


def test_a_frame_that_was_kept_without_its_link_gets_one(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/frames/7/", Told(200, entry(url=f"{server.address}/bucket/f")))
    server.on("GET", "/bucket/f", Told(200, CONTENT))
    assert fetch(lco, Frame("7", NAME, None)) == CONTENT


@pytest.mark.parametrize(
    "fresh", [Told(404, {"detail": "gone"}), Told(200, entry(url=None)), Told(200, entry(7, "other-e91.fits.fz"))]
)
def test_a_frame_without_a_file_is_unavailable(lco: LcoFacility, server: ScriptedServer, fresh: Told) -> None:
    server.on("GET", "/frames/7/", fresh)
    with pytest.raises(FrameUnavailableError):
        fetch(lco, linked(server))


@pytest.mark.parametrize(
    "told",
    [
        Told(500, b"out of order"),
        Told(200, CONTENT, breaks="within"),
        Told(200, b""),
        Told(200, CONTENT[:-1] + b"!"),
        Told(302, b"", {"Location": "/bucket/f"}),
        Told(breaks="before"),
    ],
)
def test_a_file_that_is_not_what_was_promised_is_unavailable_and_its_link_is_not_told(
    lco: LcoFacility, server: ScriptedServer, told: Told
) -> None:
    server.on("GET", "/bucket/f", told)
    frame = linked(server)
    with pytest.raises(FrameUnavailableError) as caught:
        fetch(lco, frame)
    assert "secret" not in repr(caught.value) + repr(frame)


def test_a_store_that_cannot_be_reached_makes_a_frame_unavailable(lco: LcoFacility) -> None:
    with pytest.raises(FrameUnavailableError):
        fetch(lco, Frame("7", NAME, "http://127.0.0.1:9/f?X-Amz-Signature=secret"))


@pytest.mark.parametrize("link", ["ftp://127.0.0.1/x", "nonsense", "http://[", "http://127.0.0.1:99999/"])
def test_a_link_that_is_none_makes_a_frame_unavailable(lco: LcoFacility, link: str) -> None:
    with pytest.raises(FrameUnavailableError):
        fetch(lco, Frame("7", NAME, link))


def test_an_etag_of_an_encrypted_file_is_not_taken_for_its_checksum(lco: LcoFacility, server: ScriptedServer) -> None:
    server.on("GET", "/bucket/f", Told(200, CONTENT, {"x-amz-server-side-encryption": "aws:kms"}))
    assert fetch(lco, linked(server, md5="0" * 32)) == CONTENT
