"""What the end-to-end run asks the deployed API, asked here of the app itself: the same requests, the same answers."""

from collections.abc import Mapping
from typing import Any

import pytest

from deployment.e2e import faces, ledger, telescope
from deployment.e2e.asking import Asker, E2EError, Form, Reply, is_like
from tests.conftest import TOKEN, Api


@pytest.fixture
def ask(api: Api) -> Asker:
    def send(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        sent = dict(headers)
        if isinstance(body, Form):
            answer = api.upload(int(body.fields["target"]), body.name, body.content)
        elif isinstance(body, dict):
            answer = api.request(method, path, body, headers=sent, token=None)
        else:
            answer = api.request(method, path, body=body, headers=sent, token=None)
        return Reply(answer.status, answer.headers, answer.text)

    return Asker(send, TOKEN)


def test_the_examples_of_the_asimov_document(ask: Asker) -> None:
    ledger.drive(ask)


def test_the_addresses_of_the_telescope_api(ask: Asker, portal: Any) -> None:
    telescope.drive(ask)


def test_the_description_and_the_page_made_of_it(ask: Asker) -> None:
    from chalicelib.handlers.http import ROUTES

    faces.check_description(ask, [route.path for route in ROUTES])


def test_the_stream_of_the_ledger(ask: Asker) -> None:
    faces.follow_ledger(ask)


def test_an_answer_that_is_not_the_documented_one_is_noticed(ask: Asker) -> None:
    with pytest.raises(E2EError, match="answers 404, not 200"):
        ask("GET", "/api/v1/events/GW150914", 200)
    with pytest.raises(E2EError, match=r"answers .*, not "):
        ask("GET", "/api/v1/health", 200, {"status": "ok"})


@pytest.mark.parametrize(
    ("found", "expected"),
    [({"b": 1, "a": 2}, {"a": 2, "b": 1}), ([1], [1, 2]), (True, 1), (1, 1.0), (None, {}), (False, float), ("1", int)],
)
def test_what_is_not_the_same_is_not_alike(found: Any, expected: Any) -> None:
    assert not is_like(found, expected)
