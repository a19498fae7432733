"""A timelapse that is made in several runs is the one that a single run makes."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chalicelib.pipelines.base import AsyncError, HandOver
from local.frames import make_frames
from tests.factories_frames import RecordingReporter, read_film, star_pixels, write_frame

COUNT = 6
FLAGS = {
    "plain": {},
    "every": dict.fromkeys(("normalise_background", "crop", "clean_cosmics", "align", "annotate", "colour_map"), True),
}


@dataclass
class Hurried(RecordingReporter):
    """Time gets short at the `patience`-th look at the clock."""

    patience: int = 1

    def is_time_short(self) -> bool:
        self.patience -= 1
        return self.patience <= 0


@dataclass
class Kept:
    """What was handed over, through JSON and copies of the files, as the real one keeps it."""

    state: dict[str, Any]
    folder: Path
    fetched: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        self.fetched.append(name)
        return self.folder / name


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    return make_frames(tmp_path_factory.mktemp("frames"), COUNT, 128, 4, star_count=60)


@pytest.fixture
def make_in_runs(make_film, tmp_path):
    """Make a film in several runs, the time of each getting short at its `patience`-th look; return it and all logs."""

    def make(files, patience, options, flags):
        checkpoint, log, runs = None, "", 0
        while True:
            runs += 1
            reporter = Hurried(patience=patience)
            try:
                path, _ = make_film(files, options, reporter=reporter, checkpoint=checkpoint, **flags)
            except HandOver as ending:
                log += reporter.text
                folder = tmp_path / f"kept{runs}"
                folder.mkdir()
                for file in ending.files:
                    shutil.move(file, folder / file.name)
                text = json.dumps(ending.state, allow_nan=False)
                assert len(text) < 100_000
                checkpoint = Kept(json.loads(text), folder)
                continue
            return path, log + reporter.text, runs

    return make


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("kind", ["gif", "mp4", "webm"])
@pytest.mark.parametrize("patience", [COUNT + 1, COUNT + 3])
def test_a_film_of_two_runs_is_that_of_one_byte_for_byte(make_film, make_in_runs, frames, kind, flags, patience):
    options = {"format": kind, "size": 90}
    whole, reporter = make_film(frames, options, **FLAGS[flags])
    path, log, runs = make_in_runs(frames, patience, options, FLAGS[flags])
    assert runs == 2
    assert path.read_bytes() == whole.read_bytes()
    assert log == reporter.text
    assert len(read_film(path)) == COUNT


def test_every_run_renders_at_least_one_frame(make_film, make_in_runs, frames):
    # The time is short at every look: sorting ends after each file, and the rest after each frame.
    whole, reporter = make_film(frames, **FLAGS["every"])
    path, log, runs = make_in_runs(frames, 1, {}, FLAGS["every"])
    assert runs == COUNT + COUNT
    assert path.read_bytes() == whole.read_bytes()
    assert log == reporter.text


def test_sorting_goes_on_where_it_ended(make_film, make_in_runs, frames, tmp_path):
    odd = tmp_path / "a.fits"
    odd.write_bytes(b"no FITS")
    files = [frames[3], odd, frames[0], frames[5], frames[1]]
    whole, reporter = make_film(files)
    path, log, runs = make_in_runs(files, 3, {}, {})
    assert runs > 2
    assert path.read_bytes() == whole.read_bytes()
    assert log == reporter.text
    assert log.count("Left out 'a.fits': not a FITS file") == 1


def test_progress_goes_on_where_it_ended(make_film, frames):
    with pytest.raises(HandOver):
        make_film(frames, reporter=(first := Hurried(patience=COUNT + 4)))
    assert first.steps[-1] == (4, COUNT)


def hand_over(make_film, files, tmp_path, patience, **flags):
    with pytest.raises(HandOver) as caught:
        make_film(files, reporter=Hurried(patience=patience), **flags)
    folder = tmp_path / "kept"
    folder.mkdir()
    for file in caught.value.files:
        shutil.move(file, folder / file.name)
    return Kept(caught.value.state, folder)


def test_a_file_that_was_deleted_between_two_runs_is_left_out(make_film, frames, tmp_path):
    kept = hand_over(make_film, frames, tmp_path, COUNT + 2)
    path, reporter = make_film([frames[0], *frames[2:4], frames[5]], checkpoint=kept)
    assert len(read_film(path)) == COUNT - 1
    assert f"Left out '{frames[4].name}': it has been deleted meanwhile" in reporter.lines


def test_files_of_equal_names_are_not_confused(make_film, frames, tmp_path):
    files = []
    for number, frame in enumerate(frames):
        (tmp_path / f"{number}").mkdir()
        files.append(Path(shutil.copy(frame, tmp_path / f"{number}" / "same.fits.fz")))
    whole, _ = make_film(files)
    kept = hand_over(make_film, files, tmp_path, COUNT + 2)
    assert make_film(files, checkpoint=kept)[0].read_bytes() == whole.read_bytes()


def test_what_earlier_runs_left_out_counts_in_the_failure(make_film, frames, tmp_path):
    odd = [tmp_path / f"{number}.fits" for number in range(2)]
    for path in odd:
        path.write_bytes(b"no FITS")
    kept = hand_over(make_film, [*odd, *frames[:2]], tmp_path, 5)
    with pytest.raises(AsyncError) as caught:
        make_film([*odd, frames[0]], checkpoint=kept)
    assert str(caught.value).startswith("Fewer than two usable frames (1 of 4): '0.fits': not a FITS file; ")


@pytest.mark.parametrize("position", [None, 0, 3])
def test_whether_every_frame_is_blank_is_remembered_from_run_to_run(make_in_runs, tmp_path, position):
    files = [write_frame(tmp_path / f"{i}.fits", np.full((12, 20), 7, dtype=np.int16)) for i in range(4)]
    if position is not None:
        write_frame(files[position], star_pixels())
        assert make_in_runs(files, 6, {}, {})[2] == 2
    else:
        with pytest.raises(AsyncError, match="Every frame is blank"):
            make_in_runs(files, 6, {}, {})


def test_the_last_frame_is_never_handed_over(make_film, frames):
    path, reporter = make_film(frames, reporter=Hurried(patience=COUNT + COUNT))
    assert reporter.lines[-1] == "Finished"
    assert len(read_film(path)) == COUNT


def test_a_frame_that_was_rendered_is_not_fetched_again(make_film, frames, tmp_path):
    kept = hand_over(make_film, frames, tmp_path, COUNT + 4)
    no_longer_there = [tmp_path / "gone" / frame.name for frame in frames[:4]]
    path, _ = make_film([*no_longer_there, *frames[4:]], checkpoint=kept)
    assert len(read_film(path)) == COUNT
    assert sorted(kept.fetched) == ["frames.raw", "sequence.json"]
