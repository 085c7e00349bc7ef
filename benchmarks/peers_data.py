"""The twin that all peers fit: eight mechanisms of eight families, its data, and arrays of them.

The twin is that of `benchmarks/simulation.py`. A panel is simulated at its truth and written twice:
as a table, which dotwin reads, and as arrays, so that a peer spends nothing on making them.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from simulation import NAMES, SPREAD, TRUTH, twin

import dotwin as dw
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.equation import structure_of
from dotwin.mechanisms.parameters import parameters
from dotwin.mechanisms.pooling import pooled_levels

REGIONS, PERIODS = 20, 24
LEVELS = ("region", "provider")


def simulated(providers: int, periods: int = PERIODS, seed: int = 1) -> Any:
    """Return a panel of the twin, simulated at its truth."""
    one = twin()
    fixed = dict(TRUTH)
    for name in NAMES:
        given, own = fixed[f"{name}.causes"], len(one.indicators[name].causes)
        fixed[f"{name}.causes"] = [*given, *([0.0] * own)]
        fixed |= {f"{name}.sd_{level}": sd for level, sd in SPREAD.items()}
    units = {"region": min(REGIONS, providers), "provider": providers}
    return one.simulate_panel(units=units, periods=periods, seed=seed, parameters=fixed)


def designs_of(one: Any, panel: Any) -> list[Design]:
    structure = structure_of(one, panel)
    return [build_design(one, name, panel, structure=structure) for name in one.stochastic]


def arrays_of(design: Design) -> dict[str, Any]:
    """Return what a hand-written model of one mechanism needs: arrays and numbers, no objects."""
    (arrays,) = design.predictors
    family = design.equation.family
    priors = {}
    for one in parameters(design.equation, design.reference, design.group_names, ()):
        if one.priors:
            values = np.array([prior.arguments for prior in one.priors])
            priors[one.name.partition(".")[2]] = values if one.shape else values[0]
    return {
        "name": design.child,
        "family": family.name,
        "y": design.y,
        "trials": design.trials,
        "columns": np.ascontiguousarray(arrays.columns),
        "offset": arrays.offset,
        "groups": {level: arrays.groups[level] for level in LEVELS},
        "sizes": {level: len(design.group_names[level]) for level in LEVELS},
        "weights": {k: v.weight for k, v in pooled_levels(design, arrays).items()},
        "priors": priors,
    }


def write(folder: Path, providers: int) -> None:
    """Write the twin, the panel as a table, and its arrays, unless they are there."""
    if (folder / "arrays.pickle").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    one, panel = twin(), simulated(providers)
    (folder / "twin.yaml").write_text(one.to_yaml(), encoding="utf-8")
    frame = panel.data.drop_vars("present").to_dataframe().reset_index()
    frame.rename(columns={"unit": "provider", "period": "month"}).to_csv(
        folder / "panel.csv", index=False
    )
    panel = dw.read_panel(folder / "panel.csv", dw.read_twin(folder / "twin.yaml"))
    arrays = [arrays_of(design) for design in designs_of(one, panel)]
    (folder / "arrays.pickle").write_bytes(pickle.dumps(arrays))
