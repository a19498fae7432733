"""Data products and their groups: multipart and presigned uploads, lists, downloads, memberships."""

import uuid
from typing import Any

import pytest

from chalicelib.storage import artefacts
from tests.conftest import Answer, Api, Aws, Clock

FITS = b"SIMPLE  =                    T" + b" " * 2850
FIELDS = ["id", "target", "name", "data_product_type", "size", "url", "groups", "created"]


def form(*parts: tuple[str, str | None, bytes | str], boundary: str = "b0undary", end: bool = True) -> bytes:
    """Return a multipart body; a part is its name, its file name or None, and its content."""
    body = b""
    for name, file_name, content in parts:
        disposition = f'form-data; name="{name}"' + ("" if file_name is None else f'; filename="{file_name}"')
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body += (content.encode() if isinstance(content, str) else content) + b"\r\n"
    return body + (f"--{boundary}--\r\n".encode() if end else b"")


def send(api: Api, body: bytes, content_type: str = "multipart/form-data; boundary=b0undary") -> Answer:
    return api.post("/api/dataproducts/", body=body, headers={"Content-Type": content_type})


def product(api: Api, target: int, name: str = "a.fits", **fields: Any) -> int:
    answer = api.upload(target, name, FITS, **fields)
    assert answer.status == 201, answer.text
    return int(answer.json["id"])


def group(api: Api, name: str = "Good quality data") -> int:
    return int(api.post("/api/dataproductgroups/", {"name": name}).json["id"])


def download(api: Api, aws: Aws, url: str) -> tuple[bytes, dict[str, str]]:
    """Follow a download address to the file, as a browser would."""
    import requests

    answer = api.get(url)
    assert answer.status == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    reply = requests.get(answer.headers["location"], timeout=5)
    assert reply.status_code == 200
    return reply.content, {key.title(): value for key, value in reply.headers.items()}


# Multipart uploads


def test_an_upload_answers_201_with_the_product_and_where_it_is(api: Api, aws: Aws, clock: Clock) -> None:
    target = api.target("M 13")
    first, second = group(api), group(api, "Other")
    answer = api.upload(target, "a b.fits", FITS, data_product_type="fits_file", group=[second, first, second])
    assert (answer.status, answer.headers["location"]) == (201, "/api/dataproducts/1/")
    assert list(answer.json) == FIELDS
    assert answer.json == {
        "id": 1,
        "target": target,
        "name": "a b.fits",
        "data_product_type": "fits_file",
        "size": len(FITS),
        "url": "/data/M%2013/none/a%20b.fits",
        "groups": [first, second],
        "created": clock().timestamp(),
    }
    assert api.get("/api/dataproducts/1/").json == answer.json
    assert aws.keys() == [f"products/{target}/1/a b.fits"]
    for each in (first, second):
        assert api.get(f"/api/dataproductgroups/{each}/").json["products"] == [1]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("with spaces.fits", "with spaces.fits"),
        ("ünïcode ✨.fits", "ünïcode ✨.fits"),
        ("a&b=c+d.fits", "a&b=c+d.fits"),
        ("it's.fits", "it's.fits"),
        ('q\\"uote.fits', 'q"uote.fits'),
        ("../../etc/passwd.fits", "passwd.fits"),
        ("dir/sub/x.fits", "x.fits"),
        ("C:\\\\data\\\\x.fits", "x.fits"),
        ("what?#.fits", "what?#.fits"),
        ("100%25.fits", "100%25.fits"),
        ("50%.fits", "50%.fits"),
        ("semi;colon.fits", "semi;colon.fits"),
        ("..fits", "..fits"),
        ("[brackets](1){2}.fits", "[brackets](1){2}.fits"),
        ("x" * 195 + ".fits", "x" * 195 + ".fits"),
        ("<b>.fits", "<b>.fits"),
    ],
)
def test_a_file_name_is_kept_and_its_address_leads_to_the_file(api: Api, aws: Aws, sent: str, kept: str) -> None:
    target = api.target("C/2020 F3 (ünï & %)")
    answer = api.upload(target, sent, FITS)
    assert (answer.status, answer.json["name"]) == (201, kept)
    content, headers = download(api, aws, answer.json["url"])
    assert content == FITS
    assert headers["Content-Type"] == "application/fits"
    assert headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''")


@pytest.mark.parametrize("name", ["", ".", "..", "dir/", "a/..", " ", "tab\there.fits", "x" * 300 + ".fits", "ü" * 101])
def test_a_file_name_that_cannot_be_kept_is_refused(api: Api, aws: Aws, name: str) -> None:
    answer = api.upload(api.target(), name, FITS)
    assert answer.status == 400
    assert list(answer.json) in (["file"], ["detail"])
    assert aws.keys() == []


def test_a_picture_is_shown_by_the_browser_and_a_page_is_not(api: Api, aws: Aws) -> None:
    target = api.target()
    kinds = {}
    for name in ("a.png", "a.svg", "a.html", "a.txt"):
        answer = api.upload(target, name, b"x")
        _, headers = download(api, aws, answer.json["url"])
        kinds[name] = headers["Content-Disposition"].partition(";")[0], headers["Content-Type"].partition(";")[0]
    assert kinds == {
        "a.png": ("inline", "image/png"),
        "a.svg": ("attachment", "image/svg+xml"),
        "a.html": ("attachment", "application/octet-stream"),
        "a.txt": ("inline", "text/plain"),
    }


@pytest.mark.parametrize(
    ("name", "kind"), [("a.FITS", "fits_file"), ("a.fits.fz", "fits_file"), ("a.png", "image_file"), ("a.csv", "")]
)
def test_the_type_of_a_product_is_guessed_from_its_name(api: Api, name: str, kind: str) -> None:
    assert api.upload(api.target(), name, FITS).json["data_product_type"] == kind


@pytest.mark.parametrize("content", [b"no FITS at all", b"simple  =", b"\x00" * 5000, b"SIMPLE", b"<html>"])
def test_content_that_is_not_fits_is_refused(api: Api, aws: Aws, content: bytes) -> None:
    answer = api.upload(api.target(), "a.fits", content)
    text = "This is not a FITS file: it does not begin with SIMPLE, nor is it gzipped."
    assert (answer.status, answer.json) == (400, {"file": [text]})
    assert aws.keys() == []


def test_binary_content_comes_back_byte_by_byte(api: Api, aws: Aws) -> None:
    content = bytes(range(256)) * 20 + b"\r\n--b0undary-not\r\n"
    answer = api.upload(api.target(), "any.bin", content)
    assert answer.json["size"] == len(content)
    assert download(api, aws, answer.json["url"])[0] == content


def test_a_name_in_use_is_refused_and_leaves_no_file(api: Api, aws: Aws) -> None:
    target = api.target()
    product(api, target)
    answer = api.upload(target, "a.fits", FITS)
    text = "A data product named 'a.fits' already exists, or is being uploaded, for this target."
    assert (answer.status, answer.json) == (400, {"file": [text]})
    assert aws.keys() == [f"products/{target}/1/a.fits"]
    assert api.get(f"/api/dataproducts/?target={target}").json["count"] == 1


def test_another_target_may_have_a_file_of_the_same_name(api: Api, aws: Aws) -> None:
    urls = [api.upload(api.target(name), "a.fits", FITS + name.encode()).json["url"] for name in ("M 1", "M 2")]
    assert [download(api, aws, url)[0][-3:] for url in urls] == [b"M 1", b"M 2"]


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ([("target", None, "1")], {"file": ["No file was submitted."]}),
        ([("file", "a.fits", FITS)], {"target": ["This field is required."]}),
        ([("target", None, "1"), ("file", "a.fits", b"")], {"file": ["The submitted file is empty."]}),
        (
            [("target", None, "1"), ("file", "a.fits", FITS), ("file", "b.fits", FITS)],
            {"file": ["Submit one file at a time."]},
        ),
        ([("target", None, "1"), ("other", "a.fits", FITS)], {"other": ["Unknown field."]}),
        ([("target", None, "1"), ("colour", None, "red"), ("file", "a.fits", FITS)], {"colour": ["Unknown field."]}),
        ([("target", None, "x"), ("file", "a.fits", FITS)], {"target": ["A valid integer is required."]}),
        (
            [("target", None, "77"), ("file", "a.fits", FITS)],
            {"target": ['Invalid pk "77" - object does not exist.']},
        ),
        (
            [("target", None, "1"), ("group", None, "5"), ("file", "a.fits", FITS)],
            {"group": ['Invalid pk "5" - object does not exist.']},
        ),
        (
            [("target", None, "1"), ("group", None, "one"), ("file", "a.fits", FITS)],
            {"group": ["0: A valid integer is required."]},
        ),
    ],
)
def test_a_wrong_part_of_a_form_is_named(api: Api, aws: Aws, parts: Any, wrong: Any) -> None:
    api.target()
    answer = send(api, form(*parts))
    assert (answer.status, answer.json) == (400, wrong)
    assert aws.keys() == []


@pytest.mark.parametrize("target", ["0", "-1", "1e0", "9" * 16, "9" * 5000, "", "true", "1.5", "null"])
def test_a_target_that_is_no_id_is_refused(api: Api, target: str) -> None:
    answer = send(api, form(("target", None, target), ("file", "a.fits", FITS)))
    assert (answer.status, list(answer.json)) == (400, ["target"])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(("target", None, "1")), "multipart/form-data"),
        (form(("target", None, "1")), "multipart/form-data; boundary="),
        (form(("target", None, "1")), 'multipart/form-data; boundary="ünï"'),
        (form(("target", None, "1")), "multipart/form-data; boundary=" + "x" * 5000),
        (form(("target", None, "1")), "multipart/form-data; boundary=another"),
        (form(("target", None, "1"), ("file", "a.fits", FITS), end=False), None),
        (form(("target", None, "1"), ("file", "a.fits", FITS))[:-500], None),
        (form(("target", None, "1"), ("file", "a.fits", FITS))[:60], None),
        (b"", None),
        (b"no form at all", None),
        (b'{"target": 1}', None),
        (b"--b0undary--\r\n", None),
        (form(("target", None, b"\xff\xfe")), None),
        (b'--b0undary\r\nContent-Disposition: form-data; name="target"\r\nContent-Type: text/plain; charset=nonsense'
         b"\r\n\r\n1\r\n--b0undary--\r\n", None),
        (b"--b0undary\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b0undary--\r\n", None),
        (b"--b0undary\r\n\r\n1\r\n--b0undary--\r\n", None),
        (b"--b0undary\r\nX: " + b"y" * 100_000 + b"\r\n\r\n1\r\n--b0undary--\r\n", None),
        (b"--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-9''x\r\n\r\n1\r\n--b0undary--\r\n",
         None),
    ],
)  # fmt: skip
def test_a_broken_form_is_400_in_words(api: Api, aws: Aws, body: bytes, content_type: str | None) -> None:
    answer = send(api, body, content_type or "multipart/form-data; boundary=b0undary")
    assert answer.status == 400, answer.text
    assert isinstance(answer.json, dict)
    assert aws.keys() == []


def test_an_error_of_a_form_says_that_it_was_the_form(api: Api) -> None:
    answer = send(api, b"no form at all")
    assert answer.json["detail"].startswith("Multipart form parse error - ")


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded"])
def test_an_upload_of_another_kind_is_415(api: Api, kind: str) -> None:
    assert send(api, FITS, kind).status == 415


def test_a_file_too_large_for_the_api_is_413_and_told_of_the_other_way(api: Api, aws: Aws) -> None:
    answer = api.upload(api.target(), "big.fits", FITS + b" " * 4_500_000)
    assert answer.status == 413
    assert "presigned" in answer.json["detail"]
    assert aws.keys() == []


# Presigned uploads


def reserve(api: Api, target: int, name: str = "big.fits", size: int = len(FITS), **fields: Any) -> Answer:
    return api.post("/api/dataproducts/", {"target": target, "filename": name, "size": size, **fields})


def put_in_bucket(aws: Aws, answer: Answer, content: bytes = FITS) -> None:
    key = answer.json["upload"]["fields"]["key"]
    aws.s3.put_object(Bucket=aws.name("sidereal-artefacts"), Key=key, Body=content)


@pytest.mark.parametrize("kind", ["fits_file", ""])
def test_an_upload_that_vanishes_while_it_is_completed_is_told_as_such(
    api: Api, aws: Aws, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    answer = reserve(api, api.target(), data_product_type=kind)
    monkeypatch.setattr(artefacts, "size", lambda _key: 2880)  # another request has moved it since
    late = api.post(f"{answer.headers['location']}complete/")
    assert (late.status, list(late.json)) == (409, ["detail"])


def test_a_presigned_upload_becomes_a_product_once_it_is_complete(api: Api, aws: Aws) -> None:
    target, member = api.target(), group(api)
    answer = reserve(api, target, group=[member])
    assert (answer.status, list(answer.json)) == (201, [*FIELDS, "upload"])
    assert list(answer.json["upload"]) == ["url", "fields"]
    path = answer.headers["location"]
    assert api.get(path).status == 404
    assert api.get(answer.json["url"]).status == 404
    assert api.get(f"/api/dataproducts/?target={target}").json["results"] == []
    assert api.get(f"/api/dataproductgroups/{member}/").json["products"] == []
    assert (api.post(f"{path}complete/").status, api.get(path).status) == (409, 404)
    post_form(answer.json["upload"], FITS)
    done = api.post(f"{path}complete/")
    assert (done.status, list(done.json)) == (200, FIELDS)
    assert done.json == {key: value for key, value in answer.json.items() if key != "upload"}
    assert api.get(path).json == done.json
    assert api.get(f"/api/dataproducts/?target={target}").json["results"] == [done.json]
    assert api.get(f"/api/dataproductgroups/{member}/").json["products"] == [done.json["id"]]
    assert download(api, aws, done.json["url"])[0] == FITS


def post_form(upload: dict[str, Any], content: bytes) -> None:
    """Send the form as a browser would."""
    import requests

    boundary = uuid.uuid4().hex
    parts = [(name, None, value) for name, value in upload["fields"].items()]
    body = form(*parts, ("file", "x", content), boundary=boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    reply = requests.post(upload["url"], data=body, headers=headers, timeout=5)
    assert reply.status_code in (200, 201, 204), reply.text


def test_completing_twice_is_completing_once(api: Api, aws: Aws) -> None:
    answer = reserve(api, api.target())
    put_in_bucket(aws, answer)
    path = f"{answer.headers['location']}complete/"
    first, second = api.post(path), api.post(path)
    assert (second.status, second.json) == (200, first.json)
    assert api.get("/api/dataproducts/?target=1").json["count"] == 1


@pytest.mark.parametrize("content", [b"not FITS", b""])
def test_a_presigned_upload_that_is_not_fits_is_refused_and_may_be_repeated(api: Api, aws: Aws, content: bytes) -> None:
    answer = reserve(api, api.target())
    put_in_bucket(aws, answer, content)
    path = f"{answer.headers['location']}complete/"
    wrong = api.post(path)
    assert (wrong.status, list(wrong.json)) == (400, ["file"])
    put_in_bucket(aws, answer)
    assert api.post(path).status == 200


def test_a_reservation_ends_and_frees_its_name(api: Api, aws: Aws, clock: Clock) -> None:
    target = api.target()
    answer = reserve(api, target)
    taken = reserve(api, target)
    assert (taken.status, list(taken.json)) == (400, ["filename"])
    clock.advance(3601)
    put_in_bucket(aws, answer)
    assert api.post(f"{answer.headers['location']}complete/").status == 404
    assert reserve(api, target).status == 201


def test_a_reservation_whose_target_is_deleted_cannot_be_completed(api: Api, aws: Aws) -> None:
    target = api.target()
    answer = reserve(api, target)
    put_in_bucket(aws, answer)
    assert api.delete(f"/api/targets/{target}/").status == 204
    assert aws.keys() == []
    put_in_bucket(aws, answer)
    assert api.post(f"{answer.headers['location']}complete/").status in (400, 404)


def test_a_reservation_that_ended_does_not_stand_in_the_way_of_an_upload(api: Api, clock: Clock) -> None:
    target = api.target()
    reserve(api, target, "a.fits")
    assert api.upload(target, "a.fits", FITS).status == 400
    clock.advance(3601)
    assert api.upload(target, "a.fits", FITS).status == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": -1}, "size"),
        ({"size": 10**11}, "size"),
        ({"size": "big"}, "size"),
        ({"size": True}, "size"),
        ({"filename": ""}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": "a\u0000b"}, "filename"),
        ({"filename": 5}, "filename"),
        ({"target": 99}, "target"),
        ({"target": None}, "target"),
        ({"target": True}, "target"),
        ({"group": [9]}, "group"),
        ({"group": 9}, "group"),
        ({"data_product_type": "x" * 51}, "data_product_type"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_of_a_reservation_is_named(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post("/api/dataproducts/", {"target": api.target(), "filename": "a.fits", "size": 5, **body})
    assert (answer.status, list(answer.json)) == (400, [field])


# Lists, reading, deleting


def test_products_are_listed_by_target_in_pages(api: Api) -> None:
    target, other = api.target("A"), api.target("B")
    ids = [product(api, target, f"{number}.fits") for number in range(3)]
    product(api, other)
    first = api.get(f"/api/dataproducts/?target={target}&limit=2").json
    assert list(first) == ["count", "next", "previous", "results"]
    assert (first["count"], [each["id"] for each in first["results"]]) == (3, ids[:2])
    assert list(first["results"][0]) == FIELDS
    second = api.get("/" + first["next"].split("/", 3)[3]).json
    assert [each["id"] for each in second["results"]] == ids[2:]


@pytest.mark.parametrize("target", ["", "x", "-1", "1.5", "9" * 16, "9" * 5000, "²"])
def test_a_list_of_a_target_that_is_no_number_is_refused(api: Api, target: str) -> None:
    answer = api.get(f"/api/dataproducts/?target={target}")
    assert (answer.status, list(answer.json)) == (400, ["target"])


@pytest.mark.parametrize(
    "path",
    [
        *("/data/M%2013/none/b.fits", "/data/M%2014/none/a.fits", "/data/M%2013/none/" + "x" * 3000),
        *("/data/" + "x" * 3000 + "/none/a.fits", "/data/M%2013/none/%2e%2e", "/data/a/none/%00", "/data/a/b/%ff"),
    ],
)
def test_an_address_without_a_file_is_404(api: Api, path: str) -> None:
    product(api, api.target("M 13"))
    answer = api.get(path)
    assert (answer.status, answer.json) == (404, {"detail": "Not found."})


def test_a_renamed_target_keeps_the_addresses_of_its_files(api: Api, aws: Aws) -> None:
    target = api.target("Old name")
    url = api.get(f"/api/dataproducts/{product(api, target)}/").json["url"]
    api.patch(f"/api/targets/{target}/", {"name": "New name"})
    assert api.get("/api/dataproducts/1/").json["url"] == url
    assert download(api, aws, url)[0] == FITS


def test_a_deleted_product_is_gone_with_its_file_its_address_and_its_memberships(api: Api, aws: Aws) -> None:
    target, member = api.target(), group(api)
    made = product(api, target, group=[member])
    answer = api.delete(f"/api/dataproducts/{made}/")
    assert (answer.status, answer.text) == (204, "")
    assert api.get(f"/api/dataproducts/{made}/").status == 404
    assert api.delete(f"/api/dataproducts/{made}/").status == 404
    assert (aws.keys(), api.get(f"/api/dataproductgroups/{member}/").json["products"]) == ([], [])
    assert api.get(f"/api/dataproducts/?target={target}").json["count"] == 0
    assert product(api, target) != made


# Groups


def test_a_group_is_created_read_renamed_and_deleted(api: Api, clock: Clock) -> None:
    answer = api.post("/api/dataproductgroups/", {"name": "Good quality data"})
    assert (answer.status, answer.headers["location"]) == (201, "/api/dataproductgroups/1/")
    whole = {"id": 1, "name": "Good quality data", "created": clock().timestamp(), "products": []}
    assert list(answer.json.items()) == list(whole.items())
    assert api.get("/api/dataproductgroups/1/").json == whole
    assert api.patch("/api/dataproductgroups/1/", {"name": "Best"}).json == {**whole, "name": "Best"}
    listed = api.get("/api/dataproductgroups/").json
    assert listed == {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [{"id": 1, "name": "Best", "created": clock().timestamp()}],
    }
    assert api.delete("/api/dataproductgroups/1/").status == 204
    assert api.get("/api/dataproductgroups/1/").status == 404
    assert api.get("/api/dataproductgroups/").json["count"] == 0


def test_products_join_and_leave_a_group(api: Api) -> None:
    target, member = api.target(), group(api)
    a, b, c = (product(api, target, f"{name}.fits") for name in "abc")
    path = f"/api/dataproductgroups/{member}/"
    assert api.patch(path, {"add": [c, a, a]}).json["products"] == [a, c]
    assert api.patch(path, {"add": [b], "remove": [c]}).json["products"] == [a, b]
    assert api.patch(path, {"remove": [c]}).json["products"] == [a, b]
    assert [api.get(f"/api/dataproducts/{each}/").json["groups"] for each in (a, b, c)] == [[member], [member], []]


def test_a_deleted_group_leaves_its_products(api: Api, aws: Aws) -> None:
    made = product(api, api.target(), group=[group(api)])
    assert api.delete("/api/dataproductgroups/1/").status == 204
    assert api.get(f"/api/dataproducts/{made}/").json["groups"] == []
    assert [item for item in aws.items() if item["pk"]["S"].startswith("GROUP#")] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"add": [99]}, "add"),
        ({"remove": [99]}, "remove"),
        ({"add": "1"}, "add"),
        ({"add": [True]}, "add"),
        ({"add": [0]}, "add"),
        ({"add": list(range(1, 502))}, "add"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_change_of_a_group_is_refused_whole(api: Api, body: dict[str, Any], field: str) -> None:
    made = product(api, api.target())
    path = f"/api/dataproductgroups/{group(api)}/"
    before = api.patch(path, {"add": [made]}).json
    answer = api.patch(path, {"name": "Changed", **body})
    assert (answer.status, list(answer.json)) == (400, [field])
    assert api.get(path).json == before


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"name": ["This field is required."]}),
        ({"name": " "}, {"name": ["This field may not be blank."]}),
        ({"name": "x" * 101}, {"name": ["Ensure this field has no more than 100 characters."]}),
        ({"name": "x", "products": [1]}, {"products": ["Unknown field."]}),
    ],
)
def test_a_wrong_group_is_refused(api: Api, body: Any, wrong: Any) -> None:
    answer = api.post("/api/dataproductgroups/", body)
    assert (answer.status, answer.json) == (400, wrong)


def test_the_form_of_a_completed_upload_cannot_change_the_file(api: Api, aws: Aws) -> None:
    reserved = api.post("/api/dataproducts/", {"target": api.target(), "filename": "a.txt", "size": 3}).json
    arrival = reserved["upload"]["fields"]["key"]
    aws.s3.put_object(Bucket="sidereal-artefacts", Key=arrival, Body=b"one")
    assert api.post(f"/api/dataproducts/{reserved['id']}/complete/").status == 200
    aws.s3.put_object(Bucket="sidereal-artefacts", Key=arrival, Body=b"two")
    (kept,) = aws.keys("products/")
    assert kept != arrival
    assert aws.s3.get_object(Bucket="sidereal-artefacts", Key=kept)["Body"].read() == b"one"


def test_an_upload_that_is_not_complete_can_be_given_up(api: Api, aws: Aws) -> None:
    target = api.target()
    wish = {"target": target, "filename": "a.fits", "size": 3}
    reserved = api.post("/api/dataproducts/", wish).json
    assert api.post("/api/dataproducts/", wish).json == {
        "filename": ["A data product named 'a.fits' already exists, or is being uploaded, for this target."]
    }
    assert api.delete(f"/api/dataproducts/{reserved['id']}/").status == 204
    assert api.post("/api/dataproducts/", wish).status == 201


def test_targets_whose_names_share_a_folder_keep_files_of_one_name_apart(api: Api, aws: Aws) -> None:
    first, second = api.target("a/b"), api.target("a_b")
    urls = [api.upload(target, "same.txt", b"x" * target).json["url"] for target in (first, second)]
    assert urls == ["/data/a_b/none/same.txt", f"/data/a_b_{second}/none/same.txt"]
    assert [api.get(url).status for url in urls] == [302, 302]
    assert api.upload(second, "same.txt", b"x").status == 400


def test_targets_named_with_dots_have_addresses_that_browsers_keep(api: Api) -> None:
    url = api.upload(api.target(".."), "a.txt", b"x").json["url"]
    assert url == "/data/__/none/a.txt"
    assert api.get(url).status == 302
