"""Pipelines as their authors would write them, and one whose work each test writes itself."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from chalicelib.pipelines.base import AsyncError, DataProduct, Output, PipelineOutput, PipelineProcess

PATH = "tests.jobs.pipelines_for_tests"
ALL = {
    name: f"{PATH}.{name}"
    for name in ("Scripted", "Tuples", "Statuses", "Failing", "LongFailing", "Broken", "Picky", "Stepwise")
}

Work = Callable[[PipelineProcess, Path, dict[str, bool]], Iterable[Output]]


def written(folder: Path, name: str, text: str = "x") -> Path:
    """Write an output file."""
    path = folder / name
    path.write_text(text)
    return path


class Scripted(PipelineProcess):
    """Does what the test says."""

    short_name = "sc"
    flags: ClassVar = {
        "loud": {"default": True, "long_name": "Say more"},
        "fast": {"default": False, "long_name": "Be quick"},
    }
    work: ClassVar[Work]
    runs: ClassVar[int] = 0

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        type(self).runs += 1
        return type(self).work(self, tmpdir, flags)


class Tuples(PipelineProcess):
    """Gives its outputs as plain tuples of two, three and four members."""

    short_name = "tup"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        yield written(tmpdir, "two.txt"), DataProduct
        yield written(tmpdir, "three.txt"), DataProduct, "plot"
        yield written(tmpdir, "four.gif"), DataProduct, "timelapse", {"frames": 7}


class Statuses(PipelineProcess):
    """Sets status words of its own."""

    short_name = "st"
    seen: ClassVar[Callable[[], Any]]

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        for word in ("Gathering data files", "Analysing input data files"):
            self.update_status(word)
            type(self).seen()
        return ()


class Failing(PipelineProcess):
    """Knows why it cannot go on."""

    short_name = "fail"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        self.log("Looking for stars")
        raise AsyncError("All Stars Removed. Try removing problematic files")


class LongFailing(PipelineProcess):
    """Fails with more words than are kept."""

    short_name = "long"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        raise AsyncError("é" * 300)


class Broken(PipelineProcess):
    """Has a bug."""

    short_name = "broken"

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        self.log("Before the bug")
        raise KeyError("s3cret-exception-text")


class Picky(PipelineProcess):
    """Takes some files only."""

    short_name = "picky"
    allowed_suffixes = (".fits", ".fz")

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        return [PipelineOutput(written(tmpdir, "done.txt"))]


class Stepwise(PipelineProcess):
    """Does ten steps, writes each into a file, and hands over after a step when time is short."""

    short_name = "step"
    STEPS: ClassVar[int] = 10
    after: ClassVar[Callable[[PipelineProcess, int], None]]
    """What the test does after each step, with the number of steps that are done."""

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        book = tmpdir / "book.txt"
        done = 0
        if self.checkpoint is not None:
            done = self.checkpoint.state["done"]
            book.write_bytes(self.checkpoint.path("book.txt").read_bytes())
        while done < self.STEPS:
            done += 1
            with book.open("a") as file:
                file.write(f"{done} ")
            type(self).after(self, done)
            self.progress(done, self.STEPS)
            if done < self.STEPS and self.is_time_short():
                self.hand_over({"done": done}, [book])
        return [PipelineOutput(book, DataProduct, "book")]
