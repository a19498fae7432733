"""What a run handed over to the next: `pk=PROCESS#<id>, sk=CHECKPOINT`, and files beside the outputs of its attempt.

An item of its own: the record of the process is written with every report, and an index holds a copy of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.settings import get_settings
from chalicelib.storage import artefacts, requests
from chalicelib.storage.requests import Key, Write


@dataclass(frozen=True)
class StoredCheckpoint:
    """What one attempt handed over.

    Parameters
    ----------
    attempt : int
        Which one.
    state : str
        What the next run needs to know, as JSON text.
    files : mapping
        Name -> size in bytes of each file that it needs.
    done : int
        How far the run had come, in the steps of its pipeline.
    """

    process_id: int
    attempt: int
    state: str
    files: Mapping[str, int] = field(default_factory=dict)
    done: int = 0

    def file_key(self, name: str) -> str:
        """Return where a file lies in the bucket."""
        return f"{folder(self.process_id, self.attempt)}{name}"

    def has_all_files(self) -> bool:
        """Say whether all files are still there. One ListObjects, none where there are no files."""
        if not self.files:
            return True
        there = set(artefacts.list_keys(folder(self.process_id, self.attempt)))
        return {self.file_key(name) for name in self.files} <= there


def folder(process_id: int, attempt: int) -> str:
    """Return the prefix of the files that an attempt handed over; it lies in the folder of the attempt's outputs."""
    return f"processes/{process_id}/{attempt}/checkpoint/"


def find(process_id: int) -> StoredCheckpoint | None:
    """Return what was handed over last, if anything. One GetItem."""
    item = requests.get(get_settings().telescope_table, _key(process_id))
    if item is None:
        return None
    return StoredCheckpoint(process_id, item["attempt"], item["state"], item["files"], item["done"])


def put(checkpoint: StoredCheckpoint) -> Write:
    """Describe keeping a checkpoint in place of the one before."""
    item = {
        "attempt": checkpoint.attempt,
        "state": checkpoint.state,
        "files": dict(checkpoint.files),
        "done": checkpoint.done,
    }
    return requests.put(get_settings().telescope_table, _key(checkpoint.process_id), item)


def drop(process_id: int) -> Write:
    """Describe forgetting what was handed over, if anything was."""
    return requests.delete(get_settings().telescope_table, _key(process_id))


def remove_older_files(checkpoint: StoredCheckpoint) -> None:
    """Delete the files that earlier attempts handed over; a later one may have begun, and have handed over, meanwhile.

    One ListObjects, and one DeleteObjects where there are any.
    """
    keys = artefacts.list_keys(f"processes/{checkpoint.process_id}/")
    artefacts.delete([key for key in keys if _is_older_file(key, checkpoint.attempt)])


def _is_older_file(key: str, attempt: int) -> bool:
    _, _, of_attempt, kind, *_ = key.split("/")
    return kind == "checkpoint" and int(of_attempt) < attempt


def _key(process_id: int) -> Key:
    return {"pk": f"PROCESS#{process_id}", "sk": "CHECKPOINT"}
