"""The stream of a process: how it stands and each line of its log once, however the connection breaks, up to the end."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.models.processes import Process
from chalicelib.services import process_streams, reports
from chalicelib.storage import process_moves, process_wishes, processes, requests
from tests.conftest import Answer, Api, Clock
from tests.event_source import EventSource, Heard
from tests.jobs.conftest import Jobs
from tests.storage import records

T0 = records.UNIX
ENDED = "2026-01-10T04:00:00.000000Z"


@pytest.fixture
def process(api: Api) -> Process:
    return records.process(records.target().id)


@pytest.fixture
def follow(api: Api) -> Callable[..., EventSource]:
    def make(process_id: int = 1, **more: Any) -> EventSource:
        return EventSource(lambda headers: api.get(f"/api/pipeline/{process_id}/stream", headers=headers), **more)

    return make


def log_of(heard: list[Heard]) -> str:
    return "".join(json.loads(each.data)["text"] for each in heard if each.type == "log")


def states_of(heard: list[Heard]) -> list[str]:
    return [json.loads(each.data)["status"] for each in heard if each.type == "process"]


def test_a_process_is_followed_to_its_end_and_then_no_more(jobs: Jobs, follow: Callable[..., EventSource]) -> None:
    jobs.work(lambda pipeline, folder, flags: [pipeline.log("one\ntwo \u2028 \x00 \r\n"), ()][1])
    process = jobs.submit()
    source = follow(process)
    source.connect()
    jobs.run(process)
    text = jobs.api.get(f"/api/pipeline/{process}/stream").text
    assert text.splitlines() == text.split("\n")[:-1]  # nothing else that some client may take for the end of a line
    for _ in range(3):
        source.connect()
    assert source.is_closed
    assert [each.type for each in source.heard] == ["process", "process", "log", "end"]
    assert json.loads(source.heard[1].data) == jobs.get(process)
    assert log_of(source.heard) == jobs.log(process)
    assert states_of(source.heard) == ["pending", "created"]


class Story:
    """A process that lives through claims, lines, deaths, cancellations and retries at random."""

    def __init__(self, process: Process, chance: random.Random) -> None:
        self.chance = chance
        self.process = process
        self.now, self.lines, self.index = T0, 0, 0
        self.holder: Process | None = None
        self.written: list[str] = []

    def step(self) -> None:
        """Let something happen that may happen now."""
        self.now += 1
        current = processes.get(self.process.id)
        if current.is_ended:
            process_wishes.restart(self.chance.choice((self.process, current)), self.now, "Retried")
            self.written.append("Retried\n")
        elif self.holder is None or current.tries == 0:
            self._claim()
        elif (what := self.chance.random()) < 0.6:
            self._report()
        elif what < 0.75 and current.tries < 3:
            self.now += 100  # its worker dies
            self._claim()
        elif what < 0.85 and current.tries < 3:
            process_moves.release(self.holder, str(self.holder.attempt), "Failed unexpectedly")
            self.written.append("Failed unexpectedly\n")
            self._claim()
        else:
            process_wishes.cancel(self.chance.choice((self.process, current)), ENDED, "Cancelled")
            self.written.append("Cancelled\n")
            self.holder = None

    def _claim(self) -> None:
        token = str(processes.get(self.process.id).attempt + 1)
        self.holder, self.index = process_moves.claim(self.process.id, token, self.now), 0

    def _report(self) -> None:
        assert self.holder is not None
        text, self.lines = f"line {self.lines} \u00fc\n", self.lines + 1
        token = str(self.holder.attempt)
        log = (self.holder.attempt, self.index, text)
        process_moves.report(self.process.id, token, self.now, done=self.lines, total=99, log=log)
        self.index += 1
        self.written.append(text)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_goes_on_where_it_was_cut(process: Process, follow: Callable[..., EventSource], seed: int) -> None:
    chance = random.Random(seed)
    story, source = Story(process, chance), follow(process.id)
    for _ in range(16):
        for _ in range(chance.randint(0, 3)):
            story.step()
        source.cut_anywhere(chance)
        if source.is_closed:  # it was told the end; who retries follows on from there
            source.is_closed = False
    for _ in range(2):
        source.connect()
    assert log_of(source.heard) == "".join(story.written)
    assert states_of(source.heard)[-1] == processes.get(process.id).status


def test_a_page_is_followed_from_what_it_shows(process: Process, follow: Callable[..., EventSource]) -> None:
    story = Story(process, random.Random(4))
    for _ in range(10):
        story.step()
    _, log, position = process_streams.show(process.id)
    for _ in range(10):
        story.step()
    source = follow(process.id, last_id=position)
    source.connect()
    assert log + log_of(source.heard) == "".join(story.written)


def test_who_looks_at_what_has_ended_follows_nothing_until_it_is_retried(
    process: Process, follow: Callable[..., EventSource]
) -> None:
    process_wishes.cancel(process, ENDED, "Cancelled")
    _, _, position = process_streams.show(process.id)
    source = follow(process.id, last_id=position)
    source.connect()
    assert source.is_closed
    process_wishes.restart(process, T0, "Retried")
    source.is_closed = False
    source.connect()
    assert [each.type for each in source.heard] == ["process", "log"]


def test_the_end_comes_with_what_the_ending_noted(process: Process, follow: Callable[..., EventSource]) -> None:
    source = follow(process.id)
    source.connect()
    process_wishes.cancel(process, ENDED, "Cancelled by somebody")
    source.connect()
    assert [each.type for each in source.heard][1:] == ["process", "log", "end"]
    assert log_of(source.heard) == "Cancelled by somebody\n"


def test_a_long_log_comes_in_several_batches(
    process: Process, follow: Callable[..., EventSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_streams, "BATCH_BYTES", 10)
    process_moves.claim(process.id, "worker", T0)
    for number in range(6):
        process_moves.report(process.id, "worker", T0, done=0, total=0, log=(1, number, f"line {number}\n"))
    process_moves.fail(process, ENDED, "over")
    source = follow(process.id)
    source.connect()
    assert (log_of(source.heard), source.retry_ms) == ("line 0\nline 1\n", 20)
    assert "end" not in [each.type for each in source.heard]
    source.connect()
    source.connect()
    assert log_of(source.heard) == "".join(f"line {number}\n" for number in range(6))
    assert (source.heard[-1].type, source.retry_ms) == ("end", 1000)


def test_a_log_above_what_is_kept_in_sight_is_followed_from_where_its_reading_begins(
    process: Process, follow: Callable[..., EventSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 20)
    process_moves.claim(process.id, "worker", T0)
    for number in range(6):
        process_moves.report(process.id, "worker", T0, done=0, total=0, log=(1, number, f"line {number}\n"))
    source = follow(process.id)
    source.connect()
    assert log_of(source.heard) == processes.get_with_log(process.id)[1]
    assert log_of(source.heard) == "The beginning of the log is left out.\nline 4\nline 5\n"


def test_lines_whose_arrival_is_not_known_are_sent_again_as_they_were(
    jobs: Jobs, follow: Callable[..., EventSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    transact, source = requests.transact, follow(1)
    monkeypatch.setattr(reports, "FLUSH_AFTER_S", 0)
    lost = iter([True])

    def lose_one_answer(writes: Any) -> None:
        transact(writes)
        if any("text" in (write.item or {}) for write in writes) and next(lost, False):
            source.connect()
            raise TimeoutError("no answer came")

    def work(pipeline: Any, folder: Any, flags: Any) -> Any:
        monkeypatch.setattr(requests, "transact", lose_one_answer)
        with pytest.raises(TimeoutError):
            pipeline.log("first")
        pipeline.log("second")
        return ()

    jobs.work(work)
    process = jobs.submit()
    jobs.run(process)
    source.connect()
    assert log_of(source.heard) == jobs.log(process) == "first\nsecond\n"


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "1.2.0.0.0.0123456789abcdef.0",
        "1.1.0.0.0.0123456789abcdef.2",
        "2.1.0.0.0.0123456789abcdef.0",
        "1.1.1.0.0.0123456789abcdef.0",  # of an attempt that has not begun
        f"1.1.0.0.{10**14 + 1}.0123456789abcdef.0",  # of a note that was not added
        f"1.1.0.{10**8}.0.0123456789abcdef.0",
    ],
)
def test_a_text_that_is_no_id_of_this_stream_is_refused(api: Api, process: Process, text: str) -> None:
    answer: Answer = api.get("/api/pipeline/1/stream", headers={"Last-Event-ID": text})
    assert (answer.status, list(answer.json)) == (400, ["Last-Event-ID"])
    assert api.get(f"/api/pipeline/1/stream?last_event_id={text}").status == 400


def test_of_a_process_that_is_gone_nothing_is_told(api: Api, process: Process, clock: Clock) -> None:
    _, _, position = process_streams.show(process.id)
    processes.delete(process)
    assert api.get("/api/pipeline/1/stream", headers={"Last-Event-ID": position}).status == 404
    assert api.request("HEAD", "/api/pipeline/1/stream").status == 404
