"""The truth behind a made-up panel: its parameters, and its hidden causes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.worlds.noise import normal_noise, tail_noise, unit_numbers
from dotwin.worlds.panel_frame import Frame

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.parameters import Parameter
    from dotwin.spec.twin import HiddenCause, Twin

__all__ = [
    "LOADING",
    "Drawn",
    "Hidden",
    "Past",
    "draw_hidden",
    "draw_parameters",
    "sub_seed",
    "truth_of",
]

#: What one sd of a hidden cause adds to the linear predictor of an indicator that it affects, in
#: the indicator's reference sds where its link is the identity.
LOADING = 0.5


#: What the run-in's coefficients and spreads are: the truth's, or drawn anew.
Past = Literal["truth", "prior"]


def sub_seed(seed: int, purpose: str) -> int:
    """Return a seed of its own for a purpose."""
    digest = hashlib.blake2s(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """Parameters: those of the truth, and those of the time before each mechanism's first row."""

    listed: Mapping[str, list[Parameter]]
    truth: Mapping[str, NDArray[np.float64]]
    before: Mapping[str, NDArray[np.float64]]


def draw_parameters(
    frame: Frame,
    designs: Mapping[str, Design],
    fixed: Mapping[str, Any],
    seed: int,
    past: Past,
) -> Drawn:
    """Draw every parameter that is not fixed from its prior."""
    from dotwin.mechanisms.factors import factors_of
    from dotwin.mechanisms.parameters import draw_prior, parameters

    listed = {
        n: parameters(d.equation, d.reference, d.group_names, d.period_names)
        for n, d in designs.items()
    }
    factors = factors_of(designs.values())
    known = {one.name: one for several in listed.values() for one in several} | factors
    accepted = {*known, *(f"{name}.loading" for name in _declared_only(frame.twin))}
    problems = []
    for name, value in fixed.items():
        if name not in accepted:
            problems.append(
                Problem("parameters", f"no mechanism has '{name}'. {nearest(name, accepted)}")
            )
        elif name in known and np.shape(value) not in ((), known[name].shape):
            labels = ", ".join(str(label) for names in known[name].coords for label in names)
            problems.append(
                Problem(
                    f"parameters > {name}",
                    f"has the shape {np.shape(value)}; the parameter has {known[name].shape}"
                    + (f": {labels}." if len(known[name].coords) == 1 else "."),
                )
            )
    if problems:
        raise SpecificationError(problems)
    truth: dict[str, NDArray[np.float64]] = {}
    before: dict[str, NDArray[np.float64]] = {}
    for child, several in listed.items():
        own = draw_prior(several, 1, sub_seed(seed, f"prior of {child}"), fixed)
        same = {one.name: own[one.name][0] for one in several if one.kind != "effects"}
        kept = same if past == "truth" else {}
        run_in = draw_prior(several, 1, sub_seed(seed, f"run-in of {child}"), kept)
        truth |= own
        before |= _without_past(designs[child], several, run_in)
    hidden = list(factors.values())
    values = draw_prior(hidden, 1, sub_seed(seed, "hidden causes"), fixed)
    return Drawn({**listed, "hidden causes": hidden}, truth | values, before | values)


def _declared_only(twin: Twin) -> dict[str, HiddenCause]:
    return {name: one for name, one in twin.hidden_causes.items() if not one.is_fitted}


def _without_past(
    design: Design, listed: list[Parameter], drawn: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return parameters of the run-in: no first values to lean on yet, no walk so far."""
    found = dict(drawn)
    for one in listed:
        if one.kind == "walk":
            found[one.name] = np.zeros_like(drawn[one.name])
    for predictor in design.equation.predictors:
        for k, term in enumerate(predictor.terms):
            if term.kind == "initial":
                name = f"{predictor.prefix}.causes"
                found[name] = np.array(found[name])
                found[name][:, k] = 0.0
    return found


@dataclass(frozen=True, eq=False)
class Hidden:
    """Hidden causes that are declared only: their values, and what they add to whom."""

    by_unit: dict[str, tuple[str, NDArray[np.float64], list[str]]]
    by_period: dict[str, tuple[dict[int, float], list[str]]]
    loading: dict[str, float]
    scale: dict[str, float]
    affects: dict[str, tuple[str, ...]]
    codes: dict[str, NDArray[np.intp]]

    def __call__(self, child: str, ordinal: int) -> Any:
        """Return what is added to an indicator's linear predictor; dims (1, unit), or a number."""
        total: Any = 0.0
        for name, affected in self.affects.items():
            if child not in affected:
                continue
            size = self.loading[name] * self.scale[child]
            if name in self.by_unit:
                total = total + size * self.by_unit[name][1][self.codes[name]][None, :]
            else:
                total = total + size * self.by_period[name][0][ordinal]
        return total


def draw_hidden(
    frame: Frame, designs: Mapping[str, Design], fixed: Mapping[str, Any], seed: int
) -> Hidden:
    """Draw every hidden cause that is declared only: traits of groups, or shocks of periods."""
    twin, members = frame.twin, frame.members
    by_unit: dict[str, tuple[str, NDArray[np.float64], list[str]]] = {}
    by_period: dict[str, tuple[dict[int, float], list[str]]] = {}
    loading, codes = {}, {}
    one_draw = np.zeros(1, dtype=np.int64)
    for name, hidden in _declared_only(twin).items():
        loading[name] = float(fixed.get(f"{name}.loading", LOADING))
        address = f"hidden cause {name}"
        if hidden.level == "period":
            everyone = unit_numbers([""])
            values = [
                float(normal_noise(tail_noise(seed, address, one_draw, everyone, int(t)))[0, 0])
                for t in frame.ordinals
            ]
            by_period[name] = (dict(zip(frame.ordinals.tolist(), values, strict=True)), [])
        else:
            grouping = members.levels[hidden.level]
            drawn = normal_noise(
                tail_noise(seed, address, one_draw, unit_numbers(grouping.names), 0)
            )[0]
            by_unit[name] = (hidden.level, drawn, list(grouping.names))
            codes[name] = grouping.codes
    scale = {child: design.reference.multiplier for child, design in designs.items()}
    affects = {name: hidden.affects for name, hidden in _declared_only(twin).items()}
    return Hidden(by_unit, by_period, loading, scale, affects, codes)


def truth_of(
    listed: Mapping[str, list[Parameter]],
    values: Mapping[str, NDArray[np.float64]],
    hidden: Hidden,
) -> xr.Dataset:
    """Gather the truth under posterior names and dims."""
    import xarray as xr

    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for several in listed.values():
        for one in several:
            coords |= {d: list(c) for d, c in zip(one.dims, one.coords, strict=True)}
            variables[one.name] = (one.dims, values[one.name][0])
    for name, loading in hidden.loading.items():
        variables[f"{name}.loading"] = ((), loading)
        if name in hidden.by_unit:
            level, drawn, names = hidden.by_unit[name]
            coords[level] = names
            variables[name] = ((level,), drawn)
    return xr.Dataset(variables, coords=coords)
