"""What is left to a function now and then needs processes."""

from tests.jobs.conftest import jobs, pipelines

__all__ = ["jobs", "pipelines"]
