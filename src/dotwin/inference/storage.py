"""A fit on disk: a folder with a manifest of hashes, written last and verified on reading."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dotwin.errors import IntegrityError
from dotwin.inference.certificate import Certificate
from dotwin.inference.engine import Settings
from dotwin.inference.updating import ComponentUpdate
from dotwin.mechanisms.columns import Reference
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.equation import Structure, equation
from dotwin.mechanisms.imputation import imputed_at

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["load_fit", "save"]

#: Of the layout of the folder; raised when it changes.
FORMAT = 1


def save(fit: Fit, path: Path, *, panel: bool) -> Path:
    """Write a fit as a folder, whole or not at all.

    Parameters
    ----------
    fit : Fit
    path : Path
        Replaced when it holds a fit; anything else there is refused.
    panel : bool
        Whether all of the panel goes with it; otherwise its last states and its digest.

    Returns
    -------
    Path
    """
    path = path.expanduser()
    if path.is_file() or (
        path.is_dir() and not (path / "manifest.json").exists() and any(path.iterdir())
    ):
        raise IntegrityError(f"'{path}' holds something else than a fit; choose another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _write(fit, part, panel)
        _write_manifest(part)
        # The earlier fit goes only when this one stands in its place.
        before = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)) / "fit"
        if path.exists():
            path.rename(before)
        try:
            part.rename(path)
        except OSError:
            if before.exists():
                before.rename(path)
            raise
        _sync(path.parent)
        shutil.rmtree(before.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return path


def _write(fit: Fit, folder: Path, whole_panel: bool) -> None:
    (folder / "twin.yaml").write_text(fit.twin.to_yaml(), encoding="utf-8")
    fit.tree.to_zarr(folder / "posterior.zarr", mode="w", consolidated=False)
    kept = fit.panel
    if not whole_panel:
        lags = max((d.equation.max_lag for d in fit.designs.values()), default=0)
        kept = fit.panel.select(periods=slice(-(lags + 1), None))
    kept.data.to_dataframe().reset_index().to_parquet(folder / "panel.parquet")
    about = {
        "format": FORMAT,
        "whole_panel": whole_panel,
        "panel_digest": fit.panel.digest,
        "settings": vars(fit.settings),
        "engines": {name: list(pair) for name, pair in fit.engines.items()},
        "engine": fit.engine,
        "components": [list(group) for group in fit.components],
        "certificates": {name: asdict(one) for name, one in fit.certificates.items()},
        "declined": dict(fit.declined),
        "updates": [vars(one) for one in fit.notes.get("updates", {}).values()],
        "loadings": fit.notes["loadings"].to_dict("list") if "loadings" in fit.notes else {},
        "levels": list(fit.twin.panel.levels),
        "mechanisms": {name: _design_data(design) for name, design in fit.designs.items()},
    }
    (folder / "fit.json").write_text(json.dumps(about), encoding="utf-8")


def _design_data(design: Design) -> dict[str, Any]:
    return {
        "varying": sorted(design.structure.varying),
        "categories": {name: list(all_) for name, all_ in design.structure.categories.items()},
        "reference": design.reference.as_dict(),
        "constants": {key: values.tolist() for key, values in design.constants.items()},
        "group_names": {level: list(names) for level, names in design.group_names.items()},
        "period_names": list(design.period_names),
        "accounting": design.accounting.to_dict("list"),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_manifest(folder: Path) -> None:
    files = _files(folder)
    for path in files:
        _sync(path)
    manifest = {"files": {p.relative_to(folder).as_posix(): _digest(p) for p in files}}
    target = folder / "manifest.json"
    target.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _sync(target)
    _sync(folder)


def _verify(folder: Path) -> None:
    target = folder / "manifest.json"
    if not folder.is_dir():
        raise IntegrityError(f"there is no folder '{folder}'.")
    if not target.exists():
        raise IntegrityError(
            f"'{folder}' has no manifest.json: it is no fit, or its writing was cut off."
        )
    try:
        named: dict[str, str] = dict(json.loads(target.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"'{target}' cannot be read: its writing was cut off, or someone changed it. Take "
            f"another copy, or fit anew."
        ) from None
    there = {p.relative_to(folder).as_posix() for p in _files(folder)}
    problems = [f"{name} is missing" for name in sorted(set(named) - there)]
    problems += [f"{name} is not in the manifest" for name in sorted(there - set(named))]
    problems += [
        f"{name} has changed"
        for name in sorted(there & set(named))
        if _digest(folder / name) != named[name]
    ]
    if problems:
        shown = "; ".join(problems[:5]) + ("; …" if len(problems) > 5 else "")
        raise IntegrityError(
            f"'{folder}' does not match its manifest ({shown}). Take another copy, or fit anew."
        )


def load_fit(path: str | Path) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Fit

    Raises
    ------
    IntegrityError
        When a file is missing, changed or unknown to the manifest.
    """
    import xarray as xr

    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel
    from dotwin.spec.yaml import read_twin

    folder = Path(path).expanduser()
    _verify(folder)
    about = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise IntegrityError(
            f"'{folder}' was written in layout {about['format']}; this version reads {FORMAT}."
        )
    twin = read_twin(folder / "twin.yaml")
    tree = xr.open_datatree(folder / "posterior.zarr", engine="zarr", consolidated=False).load()
    table = pd.read_parquet(folder / "panel.parquet").set_index(["unit", "period"])
    data = xr.Dataset.from_dataframe(table)
    for level in about["levels"]:
        data = data.assign_coords({level: ("unit", data[level].values[:, 0].astype(str))})
    for name in [str(n) for n in data.data_vars if data[n].dtype.kind in "OU"]:
        data[name] = data[name].fillna("").astype(str)
    panel = Panel.from_dataset(data, twin)
    imputed = {
        name: imputed_at(panel, np.asarray(tree["posterior"][f"{name}.missing_cell"]).tolist())
        for name in twin.stochastic
        if f"{name}.missing_cell" in tree["posterior"].coords
    }
    designs = {
        name: _design(twin, name, panel, stored, imputed, whole=about["whole_panel"])
        for name, stored in about["mechanisms"].items()
    }
    updates = {one["component"]: ComponentUpdate(**one) for one in about.get("updates", [])}
    notes: dict[str, Any] = {"updates": updates} if updates else {}
    if about.get("loadings"):
        notes["loadings"] = pd.DataFrame(about["loadings"])
    return Fit(
        twin=twin,
        panel=panel,
        designs=designs,
        tree=tree,
        settings=Settings(**about["settings"]),
        engines={name: (pair[0], pair[1]) for name, pair in about["engines"].items()},
        components=tuple(tuple(group) for group in about["components"]),
        certificates={n: Certificate(**one) for n, one in about.get("certificates", {}).items()},
        declined=about.get("declined", {}),
        engine=about.get("engine", "auto"),
        notes=notes,
    )


def _design(
    twin: Twin,
    name: str,
    panel: Panel,
    stored: dict[str, Any],
    imputed: dict[str, Any],
    *,
    whole: bool,
) -> Design:
    structure = Structure(
        frozenset(stored["varying"]),
        {key: tuple(names) for key, names in stored["categories"].items()},
    )
    reference = Reference.from_dict(stored["reference"])
    constants = {key: np.array(values) for key, values in stored["constants"].items()}
    if whole:
        return build_design(
            twin,
            name,
            panel,
            structure=structure,
            reference=reference,
            constants=constants,
            imputed=imputed,
        )
    nothing = np.zeros(0)
    return Design(
        equation=equation(twin, name, structure),
        structure=structure,
        reference=reference,
        constants=constants,
        unit=np.zeros(0, dtype=np.intp),
        period=np.zeros(0, dtype=np.intp),
        y=nothing,
        trials=None,
        lower=None,
        predictors=(),
        group_names=stored["group_names"],
        period_names=stored["period_names"],
        accounting=pd.DataFrame(stored["accounting"]),
        used=np.zeros((len(panel.units), len(panel.period_labels)), dtype=bool),
    )
