"""Contract tests of what processes leave behind run pipelines, too."""

from tests.jobs.conftest import jobs, pipelines

__all__ = ["jobs", "pipelines"]
