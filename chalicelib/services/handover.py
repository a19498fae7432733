"""Handing a run over: what it has done is kept, and the next run of the process goes on with it.

First the files, then one transaction that keeps the checkpoint and gives the process back, then the message. Whatever
dies in between, the next run finds the last checkpoint that was kept, or begins from the beginning; a process whose
message was never sent is found by the sweeper.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chalicelib import clock
from chalicelib.errors import UnavailableError
from chalicelib.models.data_products import has_control_characters
from chalicelib.models.processes import Process
from chalicelib.observability import logger
from chalicelib.pipelines.base import AsyncError, HandOver
from chalicelib.services.reports import RunReporter
from chalicelib.storage import artefacts, checkpoints, process_moves, processes, queues
from chalicelib.storage.checkpoints import StoredCheckpoint

MAX_STATE_BYTES = 100_000
"""Of the state as JSON: an item of DynamoDB takes 400 KB, and more than this belongs into a file."""

MAX_HANDOVERS = 50
"""Of one process, twelve hours and a half; a run that would hand over once more fails."""

MAX_FILES = 100


class Checkpoint:
    """What an earlier run handed over, as pipelines see it.

    Parameters
    ----------
    stored : StoredCheckpoint
        What is kept of it.
    folder : Path
        Where local copies of its files lie.
    """

    def __init__(self, stored: StoredCheckpoint, folder: Path) -> None:
        self.stored = stored
        self.state: Mapping[str, Any] = json.loads(stored.state)
        self._folder = folder

    def path(self, name: str) -> Path:
        """Return the local copy of a file that was handed over; fetched on first use.

        Raises
        ------
        KeyError
            If no file of this name was handed over.
        FileNotFoundError
            If it has vanished since the run began; the next attempt begins from the beginning.
        """
        if name not in self.stored.files:
            raise KeyError(f"no file '{name}' was handed over")
        path = self._folder / name
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            artefacts.fetch(self.stored.file_key(name), path)
        return path


def find_checkpoint(process: Process, folder: Path) -> tuple[Checkpoint | None, str]:
    """Return what the run of a process goes on with, if anything, and in words where it begins."""
    stored = checkpoints.find(process.id) if process.handovers else None
    if stored is None:
        return None, "starting from the beginning"
    if not stored.has_all_files():
        return None, f"what attempt {stored.attempt} had done is gone, starting from the beginning"
    return Checkpoint(stored, folder), f"going on with what attempt {stored.attempt} had done"


def hand_over(
    process: Process, token: str, reporter: RunReporter, ending: HandOver, started_from: Checkpoint | None
) -> None:
    """Keep what a run has done, give the process back and ask for its next run.

    Parameters
    ----------
    started_from : Checkpoint or None
        What this run itself began with.

    Raises
    ------
    AsyncError
        If what is handed over cannot be kept, or handing over would never end: what is handed over is what the run was
        given, or it was done too often.
    ClaimLostError
        If the claim no longer stands.
    """
    files = _by_name(ending.files)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    checkpoint = StoredCheckpoint(process.id, process.attempt, _as_text(ending.state), sizes, reporter.done)
    is_stuck = started_from is not None and not _is_further(checkpoint, started_from.stored)
    if is_stuck:
        raise AsyncError(f"{process.pipeline} handed over without getting further")
    if process.handovers >= MAX_HANDOVERS:
        raise AsyncError(f"{process.pipeline} handed over {process.handovers} times and is still not done")
    reporter.flush()
    for name, path in files.items():
        artefacts.put_file(checkpoint.file_key(name), path)
    process_moves.hand_over(process, token, checkpoint, reporter.done, reporter.total)
    logger.info("run handed over", extra={"done": reporter.done, "total": reporter.total})
    with suppress(UnavailableError):  # the sweeper sends it within a minute or two
        queues.send_run_process(process.queue, process.id)
        processes.mark_sent(process, process_moves.NOT_SENT, clock.now().timestamp())
    checkpoints.remove_older_files(checkpoint)


def _is_further(checkpoint: StoredCheckpoint, before: StoredCheckpoint) -> bool:
    """Say whether there is progress: in the steps that users see, or in what a phase without such steps has gathered."""
    if checkpoint.done > before.done:
        return True
    return (checkpoint.state, checkpoint.files) != (before.state, before.files)


def _as_text(state: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(state, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise AsyncError(f"What a run hands over must be JSON with finite numbers: {error}") from None
    if len(text) > MAX_STATE_BYTES:
        size = f"{len(text)} bytes of state; at most {MAX_STATE_BYTES} can be kept"
        raise AsyncError(f"The run hands over {size}. Larger things go into files.")
    return text


def _by_name(files: Sequence[Path]) -> dict[str, Path]:
    paths = [Path(path) for path in files]
    if len(paths) > MAX_FILES:
        raise AsyncError(f"The run hands over {len(paths)} files; at most {MAX_FILES} can be kept")
    for name, count in Counter(path.name for path in paths).items():
        if count > 1:
            raise AsyncError(f"The run hands over more than one file named '{name}'")
    for path in paths:
        if not path.is_file():
            raise AsyncError(f"The file '{path.name}' that the run hands over is not there")
        if has_control_characters(path.name):
            raise AsyncError(f"The file {path.name!a} that the run hands over has control characters in its name")
    return {path.name: path for path in paths}
