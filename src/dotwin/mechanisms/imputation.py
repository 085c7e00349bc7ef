"""Missing causes as parameters: the cells, and the columns that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.columns import column
from dotwin.mechanisms.design import (
    COUNTS,
    Design,
    PredictorDesign,
    panel_environment,
    plausible_values,
)
from dotwin.panel.environment import ArrayEnvironment

if TYPE_CHECKING:
    from dotwin.panel import Panel

__all__ = ["Imputation", "imputed_at"]


def imputed_at(panel: Panel, names: Sequence[str]) -> NDArray[np.bool_]:
    """Find imputed cells by their names, as `Imputation.names` gives them.

    Parameters
    ----------
    panel : Panel
    names : sequence of str
        Cells that the panel does not hold are passed over.

    Returns
    -------
    bool array, dims (unit, period)
    """
    units = {str(unit): i for i, unit in enumerate(panel.units)}
    labels = {label: i for i, label in enumerate(panel.period_labels)}
    cells = np.zeros((len(units), len(labels)), dtype=bool)
    for name in names:
        unit, _, label = name.rpartition(", ")
        if unit in units and label in labels:
            cells[units[unit], labels[label]] = True
    return cells


@dataclass(frozen=True, eq=False)
class Imputation:
    """Cells of a panel that the posterior fills in.

    Parameters
    ----------
    panel : Panel
    cells : dict of str to bool array, dims (unit, period)
        The missing cells of each imputed indicator.
    """

    panel: Panel
    cells: Mapping[str, NDArray[np.bool_]]

    def names(self, indicator: str) -> list[str]:
        """Return the name of each imputed cell, such as ``home-3, 2024-05``."""
        units, periods = np.nonzero(self.cells[indicator])
        ids, labels = list(self.panel.units), self.panel.period_labels
        return [f"{ids[u]}, {labels[t]}" for u, t in zip(units, periods, strict=True)]

    def declare(self) -> dict[str, Any]:
        """Add the missing values to the PyMC model and return the filled arrays (unit, period)."""
        import pymc as pm
        import pytensor.tensor as pt

        filled: dict[str, Any] = {}
        for indicator, cells in self.cells.items():
            one = self.panel.twin.indicators[indicator]
            model = pm.modelcontext(None)
            dim = f"{indicator}.missing_cell"
            model.add_coord(dim, self.names(indicator))
            observed = np.asarray(self.panel.data[indicator].values, dtype=float)
            start = plausible_values(self.panel, indicator)
            # Flat on the support: the mechanism of the indicator is the values' prior.
            if one.family in COUNTS:
                values = pm.CustomDist(
                    f"{indicator}.missing",
                    logp=lambda value: pt.zeros(value.shape),
                    dims=(dim,),
                    dtype="int64",
                    initval=start[cells].astype(np.int64),
                )
            else:
                transforms = pm.distributions.transforms
                transform = {
                    "lognormal": transforms.log,
                    "gamma": transforms.log,
                    "beta": transforms.Interval(0.0, one.out_of or 1.0),
                }.get(one.family or "")
                values = pm.Flat(
                    f"{indicator}.missing",
                    dims=(dim,),
                    default_transform=transform,
                    initval=start[cells],
                )
            base = np.where(np.isfinite(observed), observed, start)
            filled[indicator] = pt.set_subtensor(
                pt.as_tensor(base)[np.nonzero(cells)], values.astype("float64")
            )
        return filled

    def columns(self, design: Design, arrays: PredictorDesign, filled: Mapping[str, Any]) -> Any:
        """Return the columns of a linear predictor, those that read imputed cells as tensors."""
        import pytensor.tensor as pt

        predictor = arrays.predictor
        touched = [
            k
            for k, term in enumerate(predictor.terms)
            if not term.is_unit_constant
            and any(factor.names() & set(filled) for factor in term.factors)
        ]
        if not touched:
            return arrays.columns
        plain = panel_environment(self.panel)
        environment = _TensorEnvironment(plain.twin, plain.arrays, plain.groups, filled=filled)
        constants = {key: value[:, None] for key, value in design.constants.items()}
        ordinals = self.panel.period_ordinals[None, :]
        season = design.equation.indicator.season
        parts: list[Any] = [arrays.columns[:, k] for k in range(arrays.columns.shape[1])]
        for k in touched:
            values = column(
                predictor.terms[k],
                design.reference,
                environment,
                constants,
                ordinals,
                season.cycle if season else 1,
                ops=pt,
            )
            parts[k] = values[design.unit, design.period]
        return pt.stack(parts, axis=1)


@dataclass(frozen=True)
class _TensorEnvironment(ArrayEnvironment):
    """A panel's environment in which imputed indicators are tensors."""

    filled: Mapping[str, Any] = field(default_factory=dict)

    def value(self, name: str, lag: int) -> Any:
        """Return an indicator's values, as a tensor where they are imputed."""
        if name not in self.filled:
            return super().value(name, lag)
        values = self.filled[name]
        if lag == 0:
            return values
        import pytensor.tensor as pt

        # Rows whose lag lies before the window are never used; any finite value stands there.
        return pt.concatenate([values[:, :1]] * lag + [values[:, :-lag]], axis=1)
