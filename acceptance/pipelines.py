"""A pipeline that takes its next step when a test lets it: what a page shows in between can be looked at in peace."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from chalicelib.pipelines.base import (
    AsyncError,
    DataProduct,
    Output,
    PipelineOptions,
    PipelineOutput,
    PipelineProcess,
)

FOLDER = "ACCEPTANCE_GATES"
"""Variable that names the folder of the gates."""

LONGEST_WAIT_S = 120.0


class SteppedOptions(PipelineOptions):
    """Which gate the run stops at."""

    gate: str = Field("open", max_length=40, description="Name of the gate")
    steps: int = Field(5, ge=1, le=500, description="Number of steps")


class Stepped(PipelineProcess):
    """Goes as far as its gate says; without one, to the end."""

    short_name = "stepped"
    options_model = SteppedOptions
    word: ClassVar[str] = "Stepping"
    flags: ClassVar = {"wordy": {"default": False, "long_name": "Say more"}}

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        """Take step after step, each with its line in the log."""
        options = self.options
        self.update_status(self.word)
        gate = Gate(Path(os.environ[FOLDER]) / options.gate)
        for number in range(1, options.steps + 1):
            self.log(f"Step {number}" + (", with care" if flags["wordy"] else ""))
            self.progress(number, options.steps)
            deadline = time.monotonic() + LONGEST_WAIT_S
            while gate.steps() < number:
                if time.monotonic() > deadline:
                    raise AsyncError("Nobody opened the gate.")
                time.sleep(0.1)
                self.progress(number, options.steps)  # where a run that was cancelled ends
            if gate.is_shut:
                raise AsyncError("The gate was shut.")
        path = tmpdir / "steps.txt"
        path.write_text("\n".join(f"Step {number}" for number in range(1, options.steps + 1)))
        yield PipelineOutput(path, DataProduct, "steps")


class Gate:
    """What test and pipeline have in common: a file with the number of steps that may be taken."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def name(self) -> str:
        """What the option `gate` is to be."""
        return self._file.name

    def let(self, steps: int) -> None:
        """Let the run take so many steps in all."""
        draft = self._file.with_suffix(".new")
        draft.write_text(str(steps))
        draft.replace(self._file)

    def open(self) -> None:
        """Let it go to its end."""
        self.let(10**6)

    def shut(self) -> None:
        """Let it fail in its first step."""
        self.let(-1)

    @property
    def is_shut(self) -> bool:
        """Whether the run is to fail."""
        return self._text() == "-1"

    def steps(self) -> int:
        """Return how many steps may be taken."""
        return 10**6 if self.is_shut or not self._file.exists() else int(self._text())

    def _text(self) -> str:
        return self._file.read_text() if self._file.exists() else ""
