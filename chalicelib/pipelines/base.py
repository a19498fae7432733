"""What the author of a pipeline writes and is given.

The author interface is that of tom_education's pipelines, so that an existing class moves over by changing its imports.
This module imports nothing heavy: the API reads `flags` and `allowed_suffixes` from the classes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict

FIRST_MJD, LAST_MJD = -100_000, 200_000
"""1585 to 2406: a point outside cannot be kept; it most likely has a Julian date without its `M`."""


class AsyncError(Exception):
    """Raised by a pipeline that knows why it cannot go on; the text becomes the failure message and is not retried."""


class InputGoneError(AsyncError):
    """Raised when an input file that is asked for has been deleted meanwhile."""


class HandOver(Exception):  # noqa: N818 - not an error: the run goes on elsewhere
    """Raised by `PipelineProcess.hand_over`: another run is to go on from here.

    Parameters
    ----------
    state : mapping
        What the next run needs to know; JSON.
    files : sequence of Path
        Files that the next run needs; they lie in the `tmpdir`.

    Raises
    ------
    AsyncError
        If they are something else.
    """

    def __init__(self, state: Mapping[str, Any], files: Sequence[Path] = ()) -> None:
        super().__init__("the run is handed over")
        if not isinstance(state, Mapping):
            raise AsyncError(f"A run must hand over its state as a mapping with names, not {state!r:.100}")
        given: Any = files
        paths = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else (None,)
        if not all(isinstance(path, str | Path) for path in paths):
            raise AsyncError(f"A run must hand over its files as a sequence of paths, not {files!r:.100}")
        self.state = dict(state)
        self.files = paths


class Checkpoint(Protocol):
    """What an earlier run of the same process handed over."""

    state: Mapping[str, Any]

    def path(self, name: str) -> Path:
        """Return the local copy of a file that was handed over, by its name; fetched on first use."""
        ...


class DataProduct:
    """Marks an output that is kept as a data product."""


class ReducedDatum:
    """Marks an output that is measured values, kept as reduced data of the target."""


@dataclass(frozen=True)
class PipelineOutput:
    """One file that a pipeline has made, or values that it has measured.

    Parameters
    ----------
    path : path
        The file; it lies in the `tmpdir` that `do_pipeline` was given. None for measured values; reduced data with a
        file, and without `data`, is the text in it.
    output_type : type
        `DataProduct` or `ReducedDatum`.
    data_product_type : str
        The kind of product, ``"timelapse"``, ``"plot"``, ...; ``""`` for none.
    data : object
        What goes with the file: for a timelapse ``{"frames": 71}``. For reduced data one point, or a sequence of them:
        ``(mjd, magnitude, error, input file name)``, MJD in UTC; a fifth member may hold further values by name.
    """

    path: str | Path | None
    output_type: type = DataProduct
    data_product_type: str = ""
    data: Any = None


class InputFile(Protocol):
    """One input of a run. The file is fetched when its path is first asked for."""

    name: str
    """The stored file name, as uploaded."""

    @property
    def path(self) -> Path:
        """The local copy; fetched on first use, and again where it was dropped to make room."""
        ...


@dataclass(frozen=True)
class Target:
    """The target of a run; `ra` and `dec` in degrees."""

    id: int
    name: str
    ra: float | None = None
    dec: float | None = None
    extra_fields: Mapping[str, Any] = field(default_factory=dict)


class Reporter(Protocol):
    """Where a run reports to. Each call raises when the run must stop (cancelled, or taken over by another worker)."""

    def log(self, text: str) -> None:
        """Append lines to the log of the process."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Say how far the run is."""
        ...

    def update_status(self, status: str) -> None:
        """Set the status word shown while the run lasts."""
        ...

    def is_time_short(self) -> bool:
        """Say whether what is left of the time should be used to hand over."""
        ...


class InputFiles(Sequence[Any]):
    """The inputs of a run in the order in which they were named; `all()` as tom_education's authors write it."""

    def __init__(self, files: Iterable[InputFile]) -> None:
        self._files = tuple(files)

    def __getitem__(self, index: Any) -> Any:
        return self._files[index]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._files)

    def all(self) -> "InputFiles":
        """Return all of them: itself."""
        return self

    def first(self) -> Any:
        """Return the first of them, None where there is none."""
        return self._files[0] if self._files else None

    def last(self) -> Any:
        """Return the last of them, None where there is none."""
        return self._files[-1] if self._files else None

    def exists(self) -> bool:
        """Say whether there are any."""
        return bool(self._files)

    def count(self, value: Any = None) -> int:
        """Return how many there are, or how often `value` is among them."""
        return len(self._files) if value is None else self._files.count(value)


Output = PipelineOutput | tuple[Any, ...]


class PipelineOptions(BaseModel):
    """Base of the options of a pipeline: one field each, with its default, limits and a description.

    What a caller gives is checked strictly: ``"10"`` is no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class PipelineProcess:
    """Base of every pipeline.

    A subclass sets `short_name`, and `allowed_suffixes`, `flags` and `options_model` where it has any, and writes
    `do_pipeline`.

    Parameters
    ----------
    target : Target
        What was observed.
    input_files : iterable of InputFile
        The files to work on.
    reporter : Reporter
        Takes log lines, progress and status words.
    identifier : str
        The identifier of the process; outputs are named after it.
    options : PipelineOptions, optional
        An instance of `options_model`; its defaults where it is left out.
    checkpoint : Checkpoint, optional
        What an earlier run of the same process handed over.
    """

    short_name: ClassVar[str] = "pipeline"
    runs_on: ClassVar[str] = "pipeline"  # the queue whose function runs it: "timelapse" or "pipeline"
    allowed_suffixes: ClassVar[Sequence[str] | None] = None
    flags: ClassVar[Mapping[str, Mapping[str, Any]] | None] = None
    options_model: ClassVar[type[PipelineOptions]] = PipelineOptions

    def __init__(
        self,
        target: Target,
        input_files: Iterable[InputFile],
        reporter: Reporter,
        identifier: str = "",
        options: PipelineOptions | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.target = target
        self.input_files = InputFiles(input_files)
        self.identifier = identifier
        self.options: Any = self.options_model() if options is None else options
        self.checkpoint = checkpoint
        self.status = ""
        self._reporter = reporter

    def do_pipeline(self, tmpdir: Path, **flags: bool) -> Iterable[Output]:
        """Do the work and return the outputs.

        Parameters
        ----------
        tmpdir : Path
            An empty folder for outputs and scratch files; removed afterwards.
        **flags : bool
            One for each entry of `flags`.

        Raises
        ------
        AsyncError
            With a text for the user, when the work cannot be done.
        """
        # not an abstract method: tom_education's authors get this error at run time, and so do ours
        raise NotImplementedError("a pipeline must have a do_pipeline method")

    def run(self, tmpdir: Path, flags: Mapping[str, bool]) -> list[PipelineOutput]:
        """Check the inputs, do the work, and return the outputs in one form.

        Raises
        ------
        AsyncError
            If there are no inputs, one has a wrong suffix, or the pipeline says so itself.
        """
        if not self.input_files:
            raise AsyncError("No input files to process")
        self.check_suffixes()
        known = {name: bool(flags.get(name, False)) for name in self.flags or {}}
        return [as_output(output) for output in self.do_pipeline(tmpdir, **known) or ()]

    def check_suffixes(self) -> None:
        """Refuse the run if an input has none of `allowed_suffixes`, in upper or lower case."""
        for file in self.input_files:
            if not self.allows(file.name):
                raise AsyncError(self.suffix_message(file.name))

    @classmethod
    def allows(cls, name: str) -> bool:
        """Say whether a file of this name may be an input."""
        suffixes = cls.allowed_suffixes
        return suffixes is None or name.lower().endswith(tuple(suffix.lower() for suffix in suffixes))

    @classmethod
    def suffix_message(cls, name: str) -> str:
        """Return the text that refuses a file of this name."""
        allowed = ", ".join(cls.allowed_suffixes or ())
        return f"Error running pipeline File '{name}' does not end an allowed filename suffix ({allowed})"

    def log(self, text: str, end: str = "\n") -> None:
        """Append a line to the log that users see."""
        self._reporter.log(f"{text}{end}")

    def progress(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps are finished; also the point at which a cancelled run stops."""
        self._reporter.progress(done, total)

    def update_status(self, status: str) -> AbstractContextManager[None]:
        """Set the status word that users see while the pipeline runs.

        It is set at once. What is returned does nothing: `with self.update_status("Calibrating"):` is how
        tom_education's authors write it.
        """
        self.status = status
        self._reporter.update_status(status)
        return nullcontext()

    def save(self) -> None:
        """Show users what `status` says: the longer way to write `update_status`, which tom_education documents, too."""
        if self.status:
            self._reporter.update_status(self.status)

    def is_time_short(self) -> bool:
        """Say whether the function's time is nearly up, so that the run had better be handed over."""
        return self._reporter.is_time_short()

    def hand_over(self, state: Mapping[str, Any], files: Sequence[Path] = ()) -> NoReturn:
        """End this run; another one begins with what is given here in its `checkpoint`.

        Each run must come further than the one before: one that hands over just what it was given fails. A process is
        handed over 50 times; the run that would do it once more fails.

        Parameters
        ----------
        state : mapping
            What it needs to know; JSON, at most 100 KB.
        files : sequence of Path
            Files that it needs, in the `tmpdir`, each with a name of its own.
        """
        raise HandOver(state, files)


def as_output(output: Output) -> PipelineOutput:
    """Return an output in its one form; plain tuples may leave out what has a default.

    Raises
    ------
    AsyncError
        If it is neither a `PipelineOutput` nor a tuple of one to four members.
    """
    if isinstance(output, PipelineOutput):
        return output
    if isinstance(output, tuple) and 1 <= len(output) <= 4:
        return PipelineOutput(*output)
    raise AsyncError("A pipeline output must be a PipelineOutput or a tuple of path, type, product type and data")
