r"""Through what does it work? Direct and indirect effects, each named as what it is.

Write :math:`Y_{x}` for the outcome with the cause set to x, :math:`M_x` for the mediators' history
under it, and :math:`G_x` for a history drawn from the law of :math:`M_x` of units like this one.

*Interventional* effects [1]_ compare what mediators' *distributions* bring about:

.. math::
    \text{direct} = E[Y_{b, G_a} - Y_{a, G_a}], \quad
    \text{indirect} = E[Y_{b, G_b} - Y_{b, G_a}]

They are identified where the cause itself changes what mediator and outcome depend on, as it does
in every panel with feedback. Their sum is the *overall* effect; what is left to the total effect
:math:`E[Y_b - Y_a]` is the *gap*: how much it matters that a unit has its own history rather than
one like it.

*Natural* effects [2]_ hold each unit's own mediators:
:math:`E[Y_{b, M_a} - Y_a]` and :math:`E[Y_b - Y_{b, M_a}]`, which sum to the total. They ask for
one unit in two worlds at once, which no experiment shows. *Path-specific* effects [3]_ let the
change travel along stated arrows only.

References
----------
.. [1] VanderWeele, T. J. and Tchetgen Tchetgen, E. J. (2017). Mediation analysis with time varying
   exposures and mediators. J. R. Statist. Soc. B 79(3), 917-938. doi:10.1111/rssb.12194
.. [2] Pearl, J. (2001). Direct and indirect effects. UAI 17, 411-420. arXiv:1301.2300
.. [3] Avin, C., Shpitser, I. and Pearl, J. (2005). Identifiability of path-specific effects.
   IJCAI 19, 357-363.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.average.question import NO_PLAN, usual_contrast
from dotwin.effects.compared import assumptions
from dotwin.effects.other_worlds.mediated import Kind, parts_of
from dotwin.effects.other_worlds.mediators import Paths, check_paths, cross_world
from dotwin.errors import SpecificationError
from dotwin.graph import licence as identification_licence
from dotwin.spec import Scenario, do
from dotwin.worlds.aggregate import By, Groups, group_units
from dotwin.worlds.licence import (
    MONOTONE_COUPLING,
    NO_HIDDEN_CAUSES,
    Licence,
    Verdict,
    licence_of,
    refuse,
)
from dotwin.worlds.run import plan
from dotwin.worlds.simulate import simulate
from dotwin.worlds.tables import number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec.twin import Twin
    from dotwin.worlds.run import Run

__all__ = ["Mediation", "mediation"]

_KINDS = ("interventional", "natural", "path")
#: How many periods are simulated unless told, and how many draws the support is judged on.
_HORIZON, _JUDGED = 6, 60
#: What each part is, in symbols.
_SYMBOLS = {
    "interventional": {
        "total": "E[Y_b - Y_a]",
        "direct": "E[Y_{b,G_a} - Y_{a,G_a}]",
        "indirect": "E[Y_{b,G_b} - Y_{b,G_a}]",
        "overall": "E[Y_{b,G_b} - Y_{a,G_a}]",
        "gap": "total - overall",
    },
    "natural": {
        "total": "E[Y_b - Y_a]",
        "direct": "E[Y_{b,M_a} - Y_a]",
        "indirect": "E[Y_b - Y_{b,M_a}]",
        "total direct": "E[Y_b - Y_{a,M_b}]",
        "pure indirect": "E[Y_{a,M_b} - Y_a]",
    },
    "path": {
        "total": "E[Y_b - Y_a]",
        "along the path": "E[Y_{b along the path, else a} - Y_a]",
        "elsewhere": "total - along the path",
    },
}


@dataclass(frozen=True, eq=False, repr=False)
class Mediation:
    """An effect taken apart.

    Made by `mediation`, or `fit.mediation`.

    Parameters
    ----------
    kind : {'interventional', 'natural', 'path'}
    cause, on : str
    through : tuple of str
        The mediators together; the steps of the path in order.
    contrast : (float, float)
        What the cause is set to: from a to b.
    parts : dict of str to float array (draw, group, period)
        'total', 'direct', 'indirect' and what else the kind has.
    noise : dict of str to float array (group, period)
        The variance over draws that is left from simulating.
    run : Run
    groups : Groups
    licence : Licence
    """

    kind: Kind
    cause: str
    on: str
    through: tuple[str, ...]
    contrast: tuple[float, float]
    parts: Mapping[str, NDArray[np.float64]]
    noise: Mapping[str, NDArray[np.float64]]
    run: Run
    groups: Groups
    licence: Licence

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    @property
    def symbols(self) -> dict[str, str]:
        """What each part is, in symbols: a and b are what the cause is set to."""
        return dict(_SYMBOLS[self.kind])

    @property
    def estimand(self) -> str:
        """What is estimated, in words."""
        label = self.twin.label
        what = " and ".join(map(label, self.through))
        a, b = self.contrast
        change = f"{label(self.cause)} from {number(a)} to {number(b)} on {label(self.on)}"
        match self.kind:
            case "interventional":
                verb = "is" if len(self.through) == 1 else "are"
                return (
                    f"Interventional effects of {change}: indirect, by what {what} {verb} drawn "
                    f"from; direct, with that held. Means over units."
                )
            case "natural":
                return (
                    f"Natural effects of {change}: indirect, by what becomes of {what} in the same "
                    f"unit; direct, with that as it would have been. Means over units."
                )
        steps = " → ".join(map(label, (self.cause, *self.through, self.on)))
        return f"The effect of {change} that travels along {steps} alone. Means over units."

    @property
    def draws(self) -> xr.Dataset:
        """Each part, dims chain, draw, then those of ``by``, then period."""
        import xarray as xr

        chains, draws = self.run.shape[:2]
        dims = ["chain", "draw"]
        coords: dict[str, Any] = {"chain": self.run.chains, "draw": self.run.draws}
        named = bool(self.groups.names)
        if named:
            group = " × ".join(self.groups.names)
            dims.append(group)
            coords[group] = [" · ".join(label) for label in self.groups.labels]
        dims.append("period")
        coords["period"] = self.run.future.coordinate
        coords["period_label"] = ("period", list(self.run.future.labels))
        found = {}
        for name, values in self.parts.items():
            shape = (chains, draws, *(values.shape[1:] if named else values.shape[2:]))
            found[name] = (dims, values.reshape(shape))
        return xr.Dataset(found, coords=coords, attrs={"kind": self.kind})

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Summarise the parts.

        Parameters
        ----------
        interval : float

        Returns
        -------
        DataFrame
            Columns ``part``, those of ``by``, ``period``, ``mean``, ``median``, ``5%``, ``95%``,
            ``noise`` (the share of the variance that comes from simulating) and ``is``.
        """
        import pandas as pd

        tables = []
        for name, values in self.parts.items():
            table = over_draws(
                values,
                [
                    (self.groups.names, self.groups.labels),
                    (("period",), [(label,) for label in self.run.future.labels]),
                ],
                interval,
                {},
            )
            table.insert(0, "part", name)
            total = values.var(axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(total > 0, np.minimum(self.noise[name] / total, 1.0), 0.0)
            table["noise"] = share.ravel()
            table["is"] = self.symbols[name]
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def __repr__(self) -> str:
        label = self.twin.label
        part = "along the path" if self.kind == "path" else "indirect"
        here = self.parts[part][:, :, -1].mean(axis=1)
        total = self.parts["total"][:, :, -1].mean(axis=1)
        low, high = np.quantile(here, [0.05, 0.95])
        a, b = self.contrast
        last = self.run.future.labels[-1]
        when = "" if self.run.future.frequency is None else f" in {last}"
        what = " and ".join(map(label, self.through))
        if self.kind == "path":
            way = f"the effect along {' → '.join(map(label, (self.cause, *self.through, self.on)))}"
        else:
            way = f"the {self.kind} indirect effect through {what}"
        text = (
            f"Of {label(self.cause)} from {number(a)} to {number(b)} on {label(self.on)}, {way} is "
            f"{number(float(here.mean()))}{when} (90 % interval {number(low)} to {number(high)}), "
            f"of a total of {number(float(total.mean()))}"
        )
        if self.kind == "interventional":
            gap = self.parts["gap"][:, :, -1].mean()
            text += f"; the gap of direct and indirect to it is {number(float(gap))}"
        if self.licence.identified.status != "yes":
            text += f": {self.licence.meaning}"
        return f"{text}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self) -> Any:
        """Draw the parts over time."""
        return importlib.import_module("dotwin.plots").plot_mediation(self)


def mediation(
    fit: Fit,
    cause: str,
    *,
    on: str,
    through: str | Sequence[str],
    kind: Kind = "interventional",
    contrast: tuple[float, float] | None = None,
    periods: int | None = None,
    by: By = None,
    seed: int = 0,
    draws: int = 500,
    replicates: int | None = None,
    assume: str | Sequence[str] = (),
) -> Mediation:
    """Take an effect apart by what it goes through.

    The cause is set from the first future period on, and all worlds unfold with all feedback, from
    the panel's last period; a cross-section is replayed. Indirect effects count every way that
    passes a mediator; several mediators count together.

    Parameters
    ----------
    fit : Fit
    cause, on : str
        Indicators. An outcome with trials or an exposure is a rate.
    through : str or sequence of str
        The mediators; with ``kind="path"`` the steps between cause and outcome, in order.
    kind : {'interventional', 'natural', 'path'}
    contrast : (float, float), optional
        From, to; the reference centre and one sd above it unless given, 0 and 1 for a yes-or-no
        cause.
    periods : int, optional
        How many are simulated, 6 unless given; none in a cross-section.
    by : str or sequence of str, optional
        Levels, givens, or states at the start.
    seed : int
    draws : int
        Posterior draws.
    replicates : int, optional
        How many noises are averaged per draw; chosen by size unless given.
    assume : str or sequence of str
        ``no hidden causes``: answer although the declared graph does not license the effects.
        ``monotone coupling``: answer natural and path-specific effects where the cause itself
        changes a common cause of mediator and outcome, so that only the model's form gives them.

    Returns
    -------
    Mediation

    Raises
    ------
    SpecificationError
        When there is no way through the mediators, or the question is not one.
    LicenceError
        When the effects are not identified; the message says why.

    References
    ----------
    .. [1] VanderWeele, T. J. and Tchetgen Tchetgen, E. J. (2017). doi:10.1111/rssb.12194
    """
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES, MONOTONE_COUPLING))
    if kind not in _KINDS:
        raise SpecificationError(f"kind='{kind}': say 'interventional', 'natural' or 'path'.")
    if replicates is not None and replicates < 1:
        raise SpecificationError(f"replicates={replicates}: at least one.")
    paths = check_paths(fit.twin, cause, on, through, kind)
    values = usual_contrast(fit, cause) if contrast is None else contrast
    a, b = (float(value) for value in values)
    if a == b:
        raise SpecificationError(f"contrast={contrast}: two values that differ.")
    if periods is None and fit.twin.panel.period is not None:
        periods = _HORIZON
    first, second = (
        Scenario(f"{cause} = {number(v)}", [do(cause, v)], source=NO_PLAN) for v in (a, b)
    )
    if first.name == second.name:
        first, second = (
            Scenario(f"{cause} = {v!r}", [do(cause, v)], source=NO_PLAN) for v in (a, b)
        )
    found = _licence(fit, paths, kind, (first, second), periods, seed, assumed)
    run = plan(
        fit,
        periods=periods,
        scenarios=[first, second],
        seed=seed,
        draws=draws,
        panel=None,
        inputs=None,
        new_groups=None,
        carry_forward=0,
    )
    groups = group_units(fit.twin, run.states, by)
    parts, noise = parts_of(run, paths, kind, groups, replicates)
    return Mediation(kind, cause, on, paths.through, (a, b), parts, noise, run, groups, found)


def _licence(
    fit: Fit,
    paths: Paths,
    kind: Kind,
    scenarios: tuple[Scenario, Scenario],
    periods: int | None,
    seed: int,
    assumed: frozenset[str],
) -> Licence:
    """Judge the effect, its mediators, and the two worlds at once; refuse what is not licensed."""
    twin, graph = fit.twin, fit.twin.graph
    futures = simulate(fit, periods=periods, scenarios=scenarios, seed=seed, draws=_JUDGED,
                       assume="edge")  # fmt: skip
    first, second = (one.name for one in scenarios)
    hidden = assumed & {NO_HIDDEN_CAUSES}
    found = licence_of(futures, second, first, (paths.on,), hidden)
    refuse(found, (paths.on,))
    for what, asked in (
        ((paths.cause,), paths.through),
        ((paths.cause, *paths.through), (paths.on,)),
    ):
        for outcome in asked:
            verdict = identification_licence(graph, what, outcome)
            if verdict.licensed or found.identified.status == "assumed":
                continue
            label = " and ".join(map(twin.label, what))
            sentence = f"{label} on {twin.label(outcome)}: {verdict.reason}"
            status: Literal["assumed", "no"] = "assumed" if hidden else "no"
            found = replace(found, identified=Verdict(status, sentence, NO_HIDDEN_CAUSES))
            refuse(found, (paths.on,))
    if kind == "interventional":
        return found
    return cross_world(twin, paths, kind, found, assumed)
