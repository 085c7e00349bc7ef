"""What is to be computed from the data: a formula that prints and evaluates on a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotwin.errors import DataError, nearest
from dotwin.graph.expression import Expression, Table, base_of, variables_of, written

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Estimand"]


@dataclass(frozen=True)
class Estimand:
    """A causal quantity written in terms of what is observed.

    Parameters
    ----------
    query : str
        What it equals: ``P(Y | do(X))``.
    expression : Expression
        The formula as a tree of probabilities, products, sums and ratios.
    shown : tuple of str
        The variables by which its values are laid out: outcomes, causes and what is given.

    Examples
    --------
    >>> from dotwin.graph import CausalGraph
    >>> found = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")]).identify("X", "Y")
    >>> print(found.estimand)
    Σ_Z P(Y | X, Z) P(Z)
    """

    query: str
    expression: Expression
    shown: tuple[str, ...]

    @property
    def free(self) -> tuple[str, ...]:
        """The variables by which its values are laid out, then any others that it depends on.

        The others cannot matter in a system that the graph describes: whatever value is taken for
        them, the result is the same. That it is the same in the data is a testable claim.
        """
        return (*self.shown, *sorted(self.expression.free - set(self.shown)))

    def __str__(self) -> str:
        return written(self.expression)

    def latex(self) -> str:
        """Return the formula in LaTeX."""
        return written(self.expression, latex=True)

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def evaluate(self, joint: xr.DataArray) -> xr.DataArray:
        """Evaluate the formula on a table of probabilities or counts.

        A conditional probability given what never happens is zero divided by zero. Where it is
        multiplied by zero it does not matter and counts as zero; where the result depends on it,
        the result is NaN, because the table does not say it.

        Parameters
        ----------
        joint : DataArray
            A dimension for each variable, by its name; further ones are summed over. Its values
            are divided by their sum.

        Returns
        -------
        DataArray
            Dims are the outcomes, the causes, what is given, and whatever else the formula keeps
            free; coordinates are those of ``joint``.

        Raises
        ------
        DataError
            When a variable has no dimension, or a value is negative or missing.
        """
        import numpy as np
        import xarray as xr

        columns = [str(name) for name in joint.dims]
        variables = sorted({*variables_of(self.expression), *self.shown})
        for variable in variables:
            if (name := base_of(variable)) not in columns:
                raise DataError(
                    f"the table has no dimension '{name}', which the estimand reads. "
                    f"{nearest(name, columns)}"
                )
        values = _probabilities(joint, columns)
        table = Table(values, columns, variables)
        result = table.value(self.expression)
        # Every shown variable gets its whole axis, every bound one loses its own.
        kept = self.free
        order = [v for v in variables if v in kept]
        bound = tuple(i for i, v in enumerate(variables) if v not in kept)
        shape = [table.size(v) for v in order]
        result = np.broadcast_to(result.squeeze(axis=bound), shape)
        coords = {
            v: joint.indexes[base_of(v)].to_numpy() for v in order if base_of(v) in joint.indexes
        }
        found = xr.DataArray(result.copy(), dims=order, coords=coords, name=self.query)
        return found.transpose(*kept)


def _probabilities(joint: xr.DataArray, columns: Sequence[str]) -> NDArray[np.float64]:
    import numpy as np

    values = np.asarray(joint.values, dtype=float)
    if not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise DataError(
            f"the table over {', '.join(columns)} must hold probabilities or counts: none "
            f"negative, none missing, not all zero."
        )
    normalised: NDArray[np.float64] = values / values.sum()
    return normalised
