"""Benchmarks, run with `make bench`: each module has `run() -> dict` and `rows(figures)`."""
