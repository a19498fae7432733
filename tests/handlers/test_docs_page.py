"""The page on which calls can be tried out: all of it is served by us, kept for long, and nothing else is let in."""

import re

import pytest

from chalicelib.storage import artefacts
from tests.conftest import Api

ASSETS = ("swagger-ui.min.css", "docs.css", "swagger-ui-bundle.min.js", "docs.js")


def test_the_page_takes_its_scripts_and_styles_from_here_alone(api: Api) -> None:
    answer = api.get("/docs")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    addresses = re.findall(r'(?:src|href)="(/docs/[^"]+)"', answer.text)
    assert [re.sub(r"\?v=[0-9a-f]{12}$", "", address) for address in addresses] == [f"/docs/{name}" for name in ASSETS]
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert "<script>" not in answer.text
    assert "<style" not in answer.text
    assert "style=" not in answer.text


def test_the_page_shows_pictures_and_films_that_a_call_has_answered(api: Api) -> None:
    policy = dict(each.split(" ", 1) for each in api.get("/docs").headers["content-security-policy"].split("; "))
    assert (policy["img-src"], policy["media-src"]) == ("'self' data: blob:", "blob:")


def test_an_origin_to_which_links_lead_is_named_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    regional = artefacts.origins()[-1]
    monkeypatch.setattr(artefacts, "download_link", lambda key, name: f"{regional}/{key}?name={name}")
    assert artefacts.origins() == [regional]


def test_the_addresses_carry_the_stage(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.handlers.request.Request.stage_prefix", "/dev")
    text = api.get("/docs").text
    assert 'data-prefix="/dev"' in text
    assert all(address.startswith("/dev/") for address in re.findall(r'(?:src|href)="(/[^"]*)"', text))


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_is_kept_for_a_year_under_the_address_of_its_version_only(api: Api, name: str) -> None:
    address = re.findall(rf'"(/docs/{name}\?v=\w+)"', api.get("/docs").text)[0]
    kept, plain, old = api.get(address), api.get(f"/docs/{name}"), api.get(f"/docs/{name}?v=0123456789ab")
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (plain.headers["cache-control"], old.headers["cache-control"]) == ("no-cache", "no-cache")
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    assert kept.headers["content-type"] == f"{kind}; charset=utf-8"
    assert kept.headers["x-content-type-options"] == "nosniff"
    assert kept.text == plain.text != ""


@pytest.mark.parametrize("name", ["app.py", "docs.html", "..", "%2e%2e%2fapp.py", "docs.js.map"])
def test_no_other_file_is_sent(api: Api, name: str) -> None:
    assert api.get(f"/docs/{name}").status == 404


def test_swagger_ui_is_in_the_bundle() -> None:
    from chalicelib.handlers.pages import docs
    from deployment.slim import is_needed

    for name in ("swagger-ui.min.css", "swagger-ui-bundle.min.js"):
        path = docs.swagger_ui() / name
        assert path.is_file()
        assert is_needed(f"aws_lambda_powertools/event_handler/openapi/swagger_ui/{name}")
