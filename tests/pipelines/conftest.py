import pytest

from chalicelib.pipelines.base import Target
from chalicelib.pipelines.timelapse import TimelapseOptions, TimelapsePipeline
from tests.factories_frames import LocalFile, RecordingReporter


@pytest.fixture
def make_film(tmp_path):
    """Run the timelapse pipeline on paths; return the film's path and the reporter."""
    count = 0

    def make(files, options=None, *, reporter=None, checkpoint=None, name="M 42", **flags):
        nonlocal count
        count += 1
        folder = tmp_path / f"film{count}"
        folder.mkdir()
        reporter = reporter or RecordingReporter()
        inputs = [LocalFile(path) for path in files]
        target, chosen = Target(1, name), TimelapseOptions(**options or {})
        (output,) = TimelapsePipeline(target, inputs, reporter, "tl_1", chosen, checkpoint).run(folder, flags)
        return output.path, reporter

    return make
