"""Requests about what processes leave behind need processes."""

from tests.jobs.conftest import jobs, pipelines

__all__ = ["jobs", "pipelines"]
