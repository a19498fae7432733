"""What `make package` builds, and how it finds out that a function does not work with what it carries."""

import zipfile
from pathlib import Path

import pytest

from deployment import bundle, cold_start, layer, slim, template


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
    monkeypatch.setattr(cold_start, "measure", lambda *_: cold_start.Cost(100.0, 2.0, ()))
    assert bundle.check(package) == []
    monkeypatch.setattr(bundle, "MAX_UNZIPPED_MB", 0.9)
    monkeypatch.setattr(bundle, "MAX_BUNDLE_MB", {"zipped": 0.0, "unzipped": 1.0})
    (zipped, whole, *unzipped) = bundle.check(package)
    assert zipped.startswith("the bundle has 1.0 MB zipped, more than 0")
    assert whole == "the bundle has 1.0 MB unzipped, more than 1"
    assert unzipped == [f"{function} has 1 MB unzipped, more than 0.9" for function in template.FUNCTIONS]


def test_a_cold_start_above_its_budget_or_with_a_heavy_library_fails() -> None:
    for module, most in cold_start.MAX_RATIO.items():
        assert cold_start.Cost(1.0, most, ()).faults(module) == []
        (dear,) = cold_start.Cost(1.0, most + 0.1, ()).faults(module)
        assert dear.startswith(f"importing {module} takes")
        assert cold_start.Cost(1.0, most, ("numpy",)).faults(module) == [f"importing {module} imports numpy"]


def test_the_import_of_a_module_is_measured_beside_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cold_start, "REPEAT", 1)
    (tmp_path / "PIL.py").write_text("")
    (tmp_path / "app.py").write_text("import PIL")
    cost = cold_start.measure("app", [tmp_path])
    assert cost.heavy == ("PIL",)
    assert cost.cpu_ms > 0
    assert cost.ratio > 0
    (tmp_path / "app.py").write_text("import pydantic")
    with pytest.raises(SystemExit, match="No module named 'pydantic'"):  # of this environment nothing is seen
        cold_start.measure("app", [tmp_path])


def test_the_bundle_loses_what_nobody_needs_and_is_compiled(tmp_path: Path) -> None:
    bundles = []
    for number in range(2):
        archive = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("app.py", "yaml/_yaml.cpython-311.so", "pydantic/v1/main.py", "x.dist-info/RECORD"):
                file.writestr(zipfile.ZipInfo(name, (2020 + number, 1, 1, 0, 0, 0)), "a = 1\n")
            file.writestr("x.dist-info/licenses/LICENSE", "free")
        slim.slim(archive)
        bundles.append(archive)
    with zipfile.ZipFile(bundles[0]) as file:
        names = file.namelist()
        compiled = file.read(names[0])
    assert names[0].startswith("__pycache__/app.")
    assert int.from_bytes(compiled[4:8], "little") == 0b01  # by hash, and not compared with it
    assert names[1:] == ["app.py", "x.dist-info/licenses/LICENSE"]
    assert bundles[0].read_bytes() == bundles[1].read_bytes()  # the same sources, the same bundle
