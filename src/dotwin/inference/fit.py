"""Fit a twin to a panel: the posterior of every mechanism."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Engine, Settings
from dotwin.inference.schedule import run
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.equation import structure_of
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
    from dotwin.worlds.backtest import Backtest

__all__ = ["ENGINES", "Fit", "ParameterDraws", "fit", "refit"]

Floats = NDArray[np.float64]

#: Engines by name; 'auto' takes the fastest that knows all that a component needs, and whose
#: certificate holds.
ENGINES = ("auto", "deterministic", "nuts", "pymc")

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
class Fit:
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

    def backtest(
        self,
        *,
        origins: int = 4,
        horizon: int = 3,
        draws: int = 500,
        client: Client | None = None,
        progress: bool = True,
    ) -> Backtest:
        """Refit on shortened panels and score forecasts against what then happened.

        Parameters
        ----------
        origins : int
            How many last periods to forecast from.
        horizon : int
            How many periods ahead, at most.
        draws : int
            Simulated draws per forecast.
        client : dask.distributed.Client, optional
            Whose workers fit all shortened panels side by side.
        progress : bool

        Returns
        -------
        Backtest
            Log score, CRPS, PIT and coverage by indicator and horizon, beside each unit's own
            history and persistence.
        """
        module = importlib.import_module("dotwin.worlds.backtest")
        result: Backtest = module.backtest(
            self, origins=origins, horizon=horizon, draws=draws, client=client, progress=progress
        )
        self.notes["backtest"] = result
        return result

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
        from dotwin.inference.updating import updated

        found = updated(
            self, panel, _engines_like(self), seed=seed, client=client, progress=progress
        )
        result = _assemble(
            self.twin, panel, found.components, found.draws, found.settings, self.engine
        )
        result.notes["updates"] = found.verdicts
        diagnosis = result.diagnose()
        if not diagnosis.converged:
            warnings.warn(diagnosis.sentence, ConvergenceWarning, stacklevel=2)
        return result

    def simulate(
        self,
        *,
        periods: int | None = None,
        scenarios: Any = (),
        seed: int,
        draws: int = 500,
        panel: Panel | None = None,
        inputs: pd.DataFrame | None = None,
        new_groups: str | None = None,
        carry_forward: int = 0,
        assume: str | Sequence[str] = (),
        out: str | Path | None = None,
    ) -> Any:
        """Simulate the future with and without scenarios; see `dotwin.worlds.simulate`."""
        module = importlib.import_module("dotwin.worlds")
        return module.simulate(
            self,
            periods=periods,
            scenarios=scenarios,
            seed=seed,
            draws=draws,
            panel=panel,
            inputs=inputs,
            new_groups=new_groups,
            carry_forward=carry_forward,
            assume=assume,
            out=out,
        )

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
            groups and periods are 0 unless given.

        Returns
        -------
        Fit
            With one chain.

        Raises
        ------
        SpecificationError
            When a parameter is missing or has a name that no mechanism has.
        """
        structure = structure_of(twin, panel)
        designs = {
            name: build_design(twin, name, panel, structure=structure) for name in twin.stochastic
        }
        listed = [
            one
            for d in designs.values()
            for one in parameters(d.equation, d.reference, d.group_names, d.period_names)
        ]
        known = {one.name: one for one in listed}
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise SpecificationError(
                f"no mechanism has a parameter '{unknown[0]}'. {nearest(unknown[0], known)}"
            )
        given = {str(name): _stated(known[str(name)], value) for name, value in values.items()}
        missing = [
            n for n, o in known.items() if n not in given and o.kind not in ("effects", "walk")
        ]
        if missing:
            raise SpecificationError(f"parameters without a value: {', '.join(missing)}.")
        count = max(
            [v.shape[0] for n, v in given.items() if v.ndim > len(known[n].shape)], default=1
        )
        arrays = {
            name: np.broadcast_to(given.get(name, np.zeros(one.shape)), (count, *one.shape))[None]
            for name, one in known.items()
        }
        settings = Settings(count, 0, 1, 0)
        draws = Draws(arrays, {}, "known parameters")
        component = Component(tuple(designs.values()))
        return _assemble(twin, panel, [component], [draws], settings, "auto")


def fit(
    twin: Twin,
    panel: Panel,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int,
    engine: str = "auto",
    cache: str | Path | None = None,
    client: Client | None = None,
    progress: bool = True,
) -> Fit:
    """Fit every mechanism of a twin to a panel.

    Mechanisms that share an unknown are fitted together, all others alone, side by side. Hidden
    causes are left out of the fit: forecasts without intervention remain valid, and the licence of
    every contrast says what is lost.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    draws, tune : int
        Kept and discarded draws of each chain.
    chains : int
    seed : int
    engine : {'auto', 'deterministic', 'nuts', 'pymc'}
        'auto' takes for each mechanism the deterministic engine where its certificate holds, else
        NUTS on the compiled log density, else NUTS on a PyMC model.
    cache : str or Path, optional
        Folder in which a mechanism's draws are kept under a hash of its specification and data:
        change one mechanism and only that one is fitted anew.
    client : dask.distributed.Client, optional
        Whose workers fit the mechanisms; the cores of this machine unless given. The draws are the
        same. Needs ``pip install dotwin[distributed]``.
    progress : bool

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        When a mechanism has no row that it can use, or a cause never changes.
    CertificateError
        When ``engine='deterministic'`` and it cannot vouch for some mechanisms; it names them and
        the reasons.
    """
    import warnings

    from dotwin.errors import ConvergenceWarning

    if engine not in ENGINES:
        raise SpecificationError(f"there is no engine '{engine}'. {nearest(engine, ENGINES)}")
    if not twin.stochastic:
        raise DataError("the twin has no indicator with a family, so there is nothing to fit.")
    settings = Settings(draws, tune, chains, seed)
    components = components_of(twin, panel)
    folder = Path(cache) if cache is not None else None
    results = run(
        components, _engines(engine), settings, cache=folder, progress=progress, client=client
    )
    result = _assemble(twin, panel, components, results, settings, engine)
    diagnosis = result.diagnose()
    if not diagnosis.converged:
        warnings.warn(diagnosis.sentence, ConvergenceWarning, stacklevel=2)
    return result


def refit(
    earlier: Fit,
    panel: Panel,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    client: Client | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a twin to another panel at the reference scales of an earlier fit.

    Parameters mean the same in both fits, and the engine is the same. Nothing is warned of: ask
    the result's `diagnose`.

    Parameters
    ----------
    earlier : Fit
    panel : Panel
    draws, tune, chains : int
    seed : int
    client : dask.distributed.Client, optional
    progress : bool

    Returns
    -------
    Fit
    """
    settings = Settings(draws, tune, chains, seed)
    components = components_of(earlier.twin, panel, earlier.designs)
    engines = _engines_like(earlier)
    results = run(components, engines, settings, cache=None, progress=progress, client=client)
    return _assemble(earlier.twin, panel, components, results, settings, earlier.engine)


def _engines_like(earlier: Fit) -> list[Engine]:
    """Return the engines that a fit was made with.

    Another panel may need a chain where this one did not.
    """
    return _engines("auto" if earlier.engine == "deterministic" else earlier.engine)


def _stated(one: Parameter, value: Any) -> Floats:
    """Bring a stated parameter into the parameter's own order of dims and names."""
    import xarray as xr

    if isinstance(value, xr.DataArray):
        missing = [dim for dim in one.dims if dim not in value.dims]
        if missing:
            raise SpecificationError(f"{one.name} has no dim '{missing[0]}'; it has {value.dims}.")
        for dim, names in zip(one.dims, one.coords, strict=True):
            if dim in value.coords:
                absent = sorted(set(names) - set(value[dim].values.astype(str).tolist()))
                if absent:
                    raise SpecificationError(f"{one.name} has no value for {dim} '{absent[0]}'.")
                value = value.assign_coords({dim: value[dim].astype(str)}).sel({dim: list(names)})
        value = value.transpose(..., *one.dims).values
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), one.shape) and array.shape[1:] != one.shape:
        raise SpecificationError(
            f"{one.name} has shape {array.shape}; it takes one value"
            + (f", an array of shape {one.shape}" if one.shape else "")
            + ", or draws of it along a first dim."
        )
    return array


def _engines(name: str) -> list[Engine]:
    from dotwin.inference.pymc_engine import PymcEngine

    if name == "pymc":
        return [PymcEngine()]
    from dotwin.inference.deterministic import DeterministicEngine
    from dotwin.inference.joint import JointEngine
    from dotwin.inference.nuts import NutsEngine

    if name == "deterministic":
        return [DeterministicEngine()]
    samplers: list[Engine] = [NutsEngine(), JointEngine(), PymcEngine()]
    return samplers if name == "nuts" else [DeterministicEngine(), *samplers]


def _assemble(
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
