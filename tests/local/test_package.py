"""What `make package` builds, and how it finds out that a function does not work with what it carries."""

import zipfile
from pathlib import Path

import pytest

from local import bundle, layer, template


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("value = 1\n")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_layer_loses_tests_headers_and_sources_but_not_what_is_imported(tmp_path: Path) -> None:
    kept = ("astropy/__init__.py", "astropy/tests/runner.py", "numpy/testing/utils.py", "numpy/core.so", "a/test.py")
    lost = (
        "astropy/tests/tests/test_runner.py",
        "astropy/wcs/tests/data.fits",
        "numpy/core/include/numpy/arrayobject.h",
        "numpy/core.pyi",
        "numpy/__pycache__/core.cpython-311.pyc",
        "matplotlib/mpl-data/sample_data/goog.npz",
        "sep.c",
    )
    write(tmp_path, *kept, *lost)
    layer.prune(tmp_path)
    assert names(tmp_path) == set(kept)


def test_a_layer_s_modules_are_compiled_for_any_time_of_their_sources(tmp_path: Path) -> None:
    write(tmp_path, "package/module.py")
    layer.compile_modules(tmp_path)
    (compiled,) = (tmp_path / "package/__pycache__").iterdir()
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01  # by hash, and not compared with it


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose bundle can answer nothing, with empty layers."""
    folder = tmp_path / "package"
    folder.mkdir()
    with zipfile.ZipFile(folder / bundle.DEPLOYMENT_FILE, "w") as archive:
        archive.writestr("app.py", "import a_library_that_was_forgotten\n" + "#" * 1_000_000)
    for name in template.LAYERS:
        with zipfile.ZipFile(folder / template.layer_file(name), "w") as archive:
            archive.writestr("python/nothing.py", "")
    return folder


def test_a_function_that_cannot_import_what_it_needs_fails_the_package(
    package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bundle.check(package) == [f"{function} does not run with what it carries" for function in template.FUNCTIONS]
    said = capfd.readouterr()
    # neither this environment nor this project is at hand
    assert "No module named 'a_library_that_was_forgotten'" in said.err
    assert "No module named 'chalicelib'" in said.err
    assert said.out.count("FAILED") == len(template.FUNCTIONS)


def test_a_package_above_its_budget_fails(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_run_alone", lambda *_: ("", True))
    assert bundle.check(package) == []
    monkeypatch.setattr(bundle, "MAX_UNZIPPED_MB", 0.9)
    monkeypatch.setattr(bundle, "MAX_BUNDLE_ZIPPED_MB", 0.0)
    (zipped, *unzipped) = bundle.check(package)
    assert zipped.startswith("the bundle has 1.0 MB zipped, more than 0.0")
    assert unzipped == [f"{function} has 1 MB unzipped, more than 0.9" for function in template.FUNCTIONS]
