"""A fit on disk is the fit that was written, or is refused with one clear message."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dotwin.errors import IntegrityError, SpecificationError
from dotwin.inference import Fit, load_fit


@pytest.fixture(scope="module")
def stored(small_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_fit.save(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(stored, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_fit_comes_back_whole(small_fit: Fit, stored: Path) -> None:
    again = load_fit(stored)
    assert again.twin == small_fit.twin
    assert again.posterior.identical(small_fit.posterior)
    assert again.panel.digest == small_fit.panel.digest
    assert again.components == small_fit.components
    assert again.settings == small_fit.settings
    assert repr(again) == repr(small_fit)
    for name, design in small_fit.designs.items():
        np.testing.assert_array_equal(again.designs[name].main.columns, design.main.columns)
        assert again.designs[name].reference == design.reference
        assert again.designs[name].accounting.equals(design.accounting)


def test_futures_of_a_stored_fit_are_the_same_bytes(small_fit: Fit, stored: Path) -> None:
    first = small_fit.simulate(periods=3, seed=5, draws=60)
    again = load_fit(stored).simulate(periods=3, seed=5, draws=60)
    assert first.draws.identical(again.draws)


def test_without_its_panel_a_fit_still_simulates_the_same(small_fit: Fit, tmp_path: Path) -> None:
    again = load_fit(small_fit.save(tmp_path / "bare", panel=False))
    assert len(again.panel.period_labels) == 2
    first = small_fit.simulate(periods=3, seed=5, draws=60)
    assert first.draws.identical(again.simulate(periods=3, seed=5, draws=60).draws)
    assert again.diagnose().sentence == small_fit.diagnose().sentence
    for call in (again.log_likelihood, again.pymc_model):
        with pytest.raises(SpecificationError, match="saved without its panel"):
            call("missed")


def test_saving_again_replaces_a_fit_and_nothing_else(small_fit: Fit, tmp_path: Path) -> None:
    target = tmp_path / "fit"
    small_fit.save(target, panel=False)
    small_fit.save(target)
    assert len(load_fit(target).panel.period_labels) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
    other = tmp_path / "work"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(IntegrityError, match="holds something else"):
        small_fit.save(other)
    with pytest.raises(IntegrityError, match="holds something else"):
        small_fit.save(other / "notes.txt")
    assert (other / "notes.txt").read_text() == "mine"


def test_every_file_but_the_manifest_is_in_the_manifest(folder: Path) -> None:
    named = json.loads((folder / "manifest.json").read_text())["files"]
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there - set(named) == {"manifest.json"}


def test_one_changed_byte_in_any_file_is_refused(folder: Path) -> None:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"]
    for path in files[:: max(1, len(files) // 12)]:
        content = path.read_bytes()
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        path.write_bytes(bytes(spoilt))
        with pytest.raises(IntegrityError, match="has changed") as error:
            load_fit(folder)
        assert path.name in str(error.value)
        path.write_bytes(content)
    load_fit(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    chunk = next(p for p in folder.joinpath("posterior.zarr").rglob("c/*") if p.is_file())
    chunk.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        load_fit(folder)


def test_an_extra_file_is_refused(folder: Path) -> None:
    (folder / "twin.yml").write_text("twin: another")
    with pytest.raises(IntegrityError, match=r"twin\.yml is not in the manifest"):
        load_fit(folder)


@pytest.mark.parametrize("left", [0, 10, 300])
def test_a_cut_off_manifest_is_refused(folder: Path, left: int) -> None:
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:left])
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_fit(folder)


def test_a_folder_without_a_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(IntegrityError, match="cut off"):
        load_fit(folder)
    with pytest.raises(IntegrityError, match="there is no folder"):
        load_fit(tmp_path / "nowhere")


def test_a_write_that_fails_leaves_the_earlier_fit(
    small_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = small_fit.save(tmp_path / "fit")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("dotwin.inference.storage._write_manifest", fail)
    with pytest.raises(OSError, match="no space left"):
        small_fit.save(target, panel=False)
    assert len(load_fit(target).panel.period_labels) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
