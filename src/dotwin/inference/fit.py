"""A fit: the posterior of every mechanism of a twin, and what it can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError, nearest
from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.questions import Questions
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.factors import factors_of
from dotwin.mechanisms.parameters import Parameter, parameters

if TYPE_CHECKING:
    import pandas as pd
    import pymc as pm
    import xarray as xr
    from distributed import Client

    from dotwin.inference.certificate import Certificate
    from dotwin.inference.diagnosis import Diagnosis
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["Fit", "ParameterDraws", "assemble"]

Floats = NDArray[np.float64]

#: What evaluates the rows in a PyMC model.
KERNELS = ("pymc", "fused")


@dataclass(frozen=True, eq=False)
class ParameterDraws:
    """Some draws of all parameters, flattened over chains.

    Parameters
    ----------
    values : dict of str to array
        By posterior name, the draw first.
    chain, draw : int array
        Where each draw comes from.
    """

    values: Mapping[str, Floats]
    chain: NDArray[np.int64]
    draw: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.chain.size)


@dataclass(frozen=True, eq=False)
class Fit(Questions):
    """The posterior of every mechanism of a twin, with what is needed to use it.

    Made by `fit`; read from disk by `load_fit`.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    designs : dict of str to Design
        By indicator.
    tree : DataTree
        Groups ``posterior`` (dims chain, draw and names), ``sample_stats`` (dims component, chain,
        draw).
    settings : Settings
    engines : dict of str to (str, float)
        By component: the engine and its seconds.
    components : tuple of tuple of str
        The indicators whose mechanisms were fitted together.
    certificates : dict of str to Certificate
        By component, where no chain made the draws: what vouches for them.
    declined : dict of str to str
        By component: why a faster engine did not make its draws.
    engine : str
        The engine that was asked for.
    backtested : Backtest, optional
        The last backtest of this fit, so that forecasts can show it.
    """

    twin: Twin
    panel: Panel
    designs: Mapping[str, Design]
    tree: xr.DataTree
    settings: Settings
    engines: Mapping[str, tuple[str, float]]
    components: tuple[tuple[str, ...], ...] = ()
    certificates: Mapping[str, Certificate] = field(default_factory=dict)
    declined: Mapping[str, str] = field(default_factory=dict)
    engine: str = "auto"
    notes: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows = sum(design.rows for design in self.designs.values())
        return (
            f"Fit of '{self.twin.name}': {len(self.designs)} mechanisms, {rows:,} rows, "
            f"{self.settings.chains} chains of {self.settings.draws:,} draws. "
            f"{self.diagnose().sentence}"
        )

    @property
    def posterior(self) -> xr.DataTree:
        """The posterior as a DataTree that every ArviZ function takes."""
        return self.tree

    def parameters(self, indicator: str) -> list[Parameter]:
        """List the parameters of an indicator's mechanism, with dims, priors and meaning."""
        design = self._design(indicator)
        return parameters(
            design.equation, design.reference, design.group_names, design.period_names
        )

    @property
    def factors(self) -> dict[str, Parameter]:
        """The hidden causes that are fitted, by name: the dims and coords of their values."""
        return factors_of(self.designs.values())

    def _design(self, indicator: str) -> Design:
        if indicator not in self.designs:
            raise SpecificationError(
                f"'{indicator}' has no fitted mechanism. {nearest(indicator, self.designs)}"
            )
        return self.designs[indicator]

    @property
    def n_draws(self) -> int:
        """Draws over all chains."""
        sizes = self.tree["posterior"].sizes
        return int(sizes["chain"] * sizes["draw"])

    def draws(self, n: int | None = None) -> ParameterDraws:
        """Take draws of all parameters, evenly spread over chains and draws.

        Parameters
        ----------
        n : int, optional
            How many; all unless told.

        Returns
        -------
        ParameterDraws
        """
        posterior = self.tree["posterior"].to_dataset()
        chains, draws = int(posterior.sizes["chain"]), int(posterior.sizes["draw"])
        total = chains * draws
        n = total if n is None else min(n, total)
        picked = np.floor((np.arange(n) + 0.5) * total / n).astype(np.int64)
        chain, draw = np.divmod(picked, draws)
        values: dict[str, Floats] = {}
        for name, array in posterior.data_vars.items():
            ordered = array.transpose("chain", "draw", ...).values
            values[str(name)] = np.asarray(ordered[chain, draw], dtype=float)
        return ParameterDraws(values, chain, draw)

    def summary(
        self, var_names: Sequence[str] | None = None, *, interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise parameters: mean, sd, equal-tailed interval, R-hat, effective sample size.

        Parameters
        ----------
        var_names : sequence of str, optional
            Posterior names; all but the effects of single groups and periods unless given.
        interval : float
            Probability of the interval.

        Returns
        -------
        DataFrame
            A row per parameter.
        """
        import arviz as az

        if var_names is None:
            var_names = [
                one.name
                for indicator in self.designs
                for one in self.parameters(indicator)
                if one.kind in ("free", "dispersion", "cutpoints")
            ]
        unknown = [name for name in var_names if name not in self.tree["posterior"].data_vars]
        if unknown:
            valid = [str(name) for name in self.tree["posterior"].data_vars]
            raise SpecificationError(
                f"the posterior has no '{unknown[0]}'. {nearest(unknown[0], valid)}"
            )
        table: pd.DataFrame = az.summary(
            self.tree,
            var_names=list(var_names),
            ci_prob=interval,
            ci_kind="eti",
            round_to="none",
        )
        return table

    def loadings(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Tabulate what hidden causes that are fitted add to each indicator that they affect.

        Parameters
        ----------
        interval : float
            Probability of the interval.

        Returns
        -------
        DataFrame
            A row per hidden cause, indicator and prior: the prior's sd beside the posterior's, the
            shift of the mean in prior sds, and what identifies it.
        """
        from dotwin.inference.loadings import loadings

        return loadings(self, interval=interval)

    @cached_property
    def _diagnosis(self) -> Diagnosis:
        from dotwin.inference.diagnosis import diagnose

        return diagnose(self)

    def diagnose(self) -> Diagnosis:
        """Say per mechanism whether its posterior can be trusted, and what to do when not.

        Returns
        -------
        Diagnosis
            Verdicts in words, tables, and the checks of unit traits.
        """
        return self._diagnosis

    def log_likelihood(self, indicator: str, *, leave_out: str = "row") -> xr.DataTree:
        """Compute the pointwise log-likelihood of an indicator, for ``az.loo`` and its kind.

        Parameters
        ----------
        indicator : str
        leave_out : {'row', 'unit', 'future'}
            'row': each row given all parameters. 'unit': all rows of a unit together, its own
            effects integrated out. 'future': each row of the last period given all parameters,
            a period's shock integrated out.

        Returns
        -------
        DataTree
            Groups ``posterior`` and ``log_likelihood``.
        """
        from dotwin.inference.likelihood import log_likelihood_tree

        return log_likelihood_tree(self, indicator, leave_out)

    def update(
        self, panel: Panel, *, seed: int, client: Client | None = None, progress: bool = True
    ) -> Fit:
        """Bring the fit up to date with a panel that holds further periods.

        The draws of each mechanism are re-weighted by its new rows, its unit effects integrated
        out, at the reference scales of this fit. A mechanism is refitted, from where its posterior
        was, when the weights do not suffice (Pareto k of 0.7 or more, fewer than 400 effective
        draws) or when earlier values were revised. ``diagnose()`` says which way each went.

        Parameters
        ----------
        panel : Panel
            The earlier panel and at least one period more; units may be new in it.
        seed : int
        client : dask.distributed.Client, optional
            Whose workers refit what must be refitted.
        progress : bool

        Returns
        -------
        Fit
            Of the later panel; this one stays as it was.

        Raises
        ------
        DataError
            When the panel is another twin's, lacks periods of the earlier one, or has none more.

        References
        ----------
        .. [1] Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024). Pareto smoothed
           importance sampling. Journal of Machine Learning Research 25(72).
        """
        import warnings

        from dotwin.errors import ConvergenceWarning
        from dotwin.inference.fitting import engines_like
        from dotwin.inference.updating import updated

        found = updated(
            self, panel, engines_like(self), seed=seed, client=client, progress=progress
        )
        result = assemble(
            self.twin, panel, found.components, found.draws, found.settings, self.engine
        )
        result.notes["updates"] = found.verdicts
        diagnosis = result.diagnose()
        if not diagnosis.converged:
            warnings.warn(diagnosis.sentence, ConvergenceWarning, stacklevel=2)
        return result

    def pymc_model(self, indicator: str, *, kernel: str = "pymc") -> pm.Model:
        """Return the PyMC model of the component that an indicator's mechanism belongs to.

        Parameters
        ----------
        indicator : str
        kernel : {'pymc', 'fused'}
            'pymc': every outcome is an observed variable, in PyMC's own terms throughout; the
            model predicts. 'fused': the rows' log density is the compiled one, as a potential, and
            effects are centred as far as the data inform them; ``pm.sample`` of it is faster.

        Returns
        -------
        pymc.Model
        """
        from dotwin.mechanisms.pymc_model import build_pymc_model

        if kernel not in KERNELS:
            raise SpecificationError(f"there is no kernel '{kernel}'. {nearest(kernel, KERNELS)}")
        if self._design(indicator).rows == 0:
            raise SpecificationError(
                "this fit was saved without its panel, so there is nothing to build its model from."
            )
        members = next(c for c in self.components if indicator in c)
        component = next(
            c for c in components_of(self.twin, self.panel) if c.designs[0].child == members[0]
        )
        designs = tuple(self.designs[name] for name in members)
        if kernel == "fused":
            from dotwin.inference.nuts.fused_model import build_fused_model

            return build_fused_model(Component(designs, component.imputation))
        return build_pymc_model(designs, component.imputation, parametrisation="named")

    def save(self, path: str | Path, *, panel: bool = True) -> Path:
        """Write the fit as a folder whose manifest is written last.

        Parameters
        ----------
        path : str or Path
        panel : bool
            Whether the panel's values go with it; otherwise its digest and last states only.

        Returns
        -------
        Path
        """
        from dotwin.inference.storage import save

        return save(self, Path(path), panel=panel)

    @classmethod
    def from_parameters(
        cls, twin: Twin, panel: Panel, values: Mapping[str, Any] | xr.Dataset
    ) -> Fit:
        """Make a fit of known parameters, for simulation from a stated truth.

        Parameters
        ----------
        twin : Twin
        panel : Panel
        values : dict or Dataset
            By posterior name: one value each, or draws along a first dim ``draw``; effects of
            groups and periods, and hidden causes, are 0 unless given.

        Returns
        -------
        Fit
            With one chain.

        Raises
        ------
        SpecificationError
            When a parameter is missing or has a name that no mechanism has.
        """
        from dotwin.inference.known import known_fit

        return known_fit(twin, panel, values)


def assemble(
    twin: Twin,
    panel: Panel,
    components: Sequence[Component],
    results: Sequence[Draws],
    settings: Settings,
    engine: str,
) -> Fit:
    """Make a fit of the draws of all components."""
    import xarray as xr

    posterior: dict[str, Any] = {}
    coords: dict[str, Any] = {
        "chain": np.arange(settings.chains),
        "draw": np.arange(settings.draws),
    }
    statistics: dict[str, dict[str, Any]] = {}
    designs: dict[str, Design] = {}
    for component, draws in zip(components, results, strict=True):
        for design in component.designs:
            designs[design.child] = design
            for one in parameters(
                design.equation, design.reference, design.group_names, design.period_names
            ):
                coords.update({d: list(c) for d, c in zip(one.dims, one.coords, strict=True)})
                values = draws.posterior[one.name]
                posterior[one.name] = (("chain", "draw", *one.dims), values)
                if one.kind == "walk":
                    # PyMC predicts from the steps, not from their sum.
                    dims = ("chain", "draw", f"{one.name}_step")
                    posterior[f"{one.name}_steps"] = (dims, np.diff(values, axis=-1))
        for name, factor in component.factors.items():
            coords.update(zip(factor.dims, map(list, factor.coords), strict=True))
            posterior[name] = (("chain", "draw", *factor.dims), draws.posterior[name])
        if component.imputation is not None:
            for name in component.imputation.cells:
                dim = f"{name}.missing_cell"
                coords[dim] = component.imputation.names(name)
                posterior[f"{name}.missing"] = (
                    ("chain", "draw", dim),
                    draws.posterior[f"{name}.missing"],
                )
        for name, statistic in draws.statistics.items():
            statistics.setdefault(name, {})[component.name] = statistic
    groups = {"posterior": xr.Dataset(posterior, coords=coords)}
    # Only chains have statistics: those that every sampled component has are kept.
    sampled = [c.name for c, d in zip(components, results, strict=True) if d.statistics]
    whole = {
        name: np.stack([of[c] for c in sampled])
        for name, of in statistics.items()
        if len(of) == len(sampled)
    }
    if whole:
        groups["sample_stats"] = xr.Dataset(
            {name: (("component", "chain", "draw"), values) for name, values in whole.items()},
            coords={"component": sampled, "chain": coords["chain"], "draw": coords["draw"]},
        )
    pairs = list(zip(components, results, strict=True))
    return Fit(
        twin=twin,
        panel=panel,
        designs={name: designs[name] for name in twin.stochastic},
        tree=xr.DataTree.from_dict(groups),
        settings=settings,
        engines={c.name: (d.engine, d.seconds) for c, d in pairs},
        components=tuple(tuple(d.child for d in c.designs) for c in components),
        certificates={c.name: d.certificate for c, d in pairs if d.certificate is not None},
        declined={c.name: d.declined for c, d in pairs if d.declined},
        engine=engine,
    )
