"""The effect of a cause on an outcome: the question is asked here, and its answer is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.average.g_formula import average_worlds
from dotwin.effects.average.question import Hold, Question, Settings, ask
from dotwin.effects.average.result import Effect, supports
from dotwin.worlds.aggregate import By
from dotwin.worlds.licence import (
    NO_HIDDEN_CAUSES,
    Licence,
    Verdict,
    licence_of,
    refuse,
    supported_verdict,
)
from dotwin.worlds.simulate import simulate

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.futures import Futures

__all__ = ["answer", "effect"]

#: How many draws and values support is judged on.
_DRAWS_FOR_SUPPORT = 48
_VALUES_FOR_SUPPORT = 20_000_000


def effect(
    fit: Fit,
    cause: str,
    *,
    on: str,
    contrast: Sequence[float] | None = None,
    start: int | str | None = None,
    periods: int | None = None,
    horizon: int | None = None,
    hold: Hold = "throughout",
    weight: str | None = None,
    among: str | None = None,
    by: By = None,
    seed: int | None = None,
    draws: int = 500,
    replicates: int | None = None,
    panel: Panel | None = None,
    inputs: pd.DataFrame | None = None,
    new_groups: str | None = None,
    carry_forward: int = 0,
    assume: str | Sequence[str] = (),
) -> Effect:
    r"""Say what would change on average if a cause were set to another value.

    Two worlds are compared that differ in the value to which the cause is set,
    :math:`do(A = a)` and :math:`do(A = b)`. In a cross-section this is standardisation over the
    panel's units with their given inputs; in a panel, the parametric g-formula [1]_: both worlds
    are simulated forward from the units' last states, with all feedback. A cause that the
    treatment acts on is drawn anew from its own mechanism in each world; adjusting for it instead
    would take a part of the effect away. Per posterior draw the outcome is averaged over noise and
    units first, then compared.

    Parameters
    ----------
    fit : Fit
    cause : str
        The indicator that is set.
    on : str
        The outcome: an indicator (a rate where it has trials or an exposure), a condition such as
        ``missed / scheduled > 0.05`` (the share of units that meet it), a ratio of indicators, or a
        threshold's name.
    contrast : (float, float), optional
        The values a and b, in the cause's own unit (a share where it has trials); the effect is b
        against a. From the reference centre to one sd above it unless given; from 0 to 1 where the
        cause is yes or no.
    start : int or str, optional
        The first period in which the cause is set: a count of future periods from 1, or a date.
    periods : int, optional
        For how many periods it is set; to the horizon's end unless given.
    horizon : int, optional
        How many periods are simulated; 12 unless given.
    hold : {'throughout', 'once'}
        ``once`` sets the cause in one period and then lets its own mechanism go on: an impulse
        response.
    weight : str, optional
        An indicator such as residents by which units are weighted; all count alike unless given,
        except that a rate is a ratio of sums.
    among : str, optional
        A condition on levels, givens and states at the start such as ``start(turnover) > 0.3``:
        the effect on those, for instance on the treated.
    by : str or sequence of str, optional
        Levels, givens or states at the start: an effect for each group.
    seed : int, optional
        The fit's own unless given.
    draws : int
        Posterior draws, taken evenly from the chains.
    replicates : int, optional
        How many noises are averaged per draw; chosen by size unless given.
    panel : Panel, optional
        Another panel to start from.
    inputs : DataFrame, optional
        Future values of givens, as in `simulate`.
    new_groups : {'population'}, optional
        Draw the effects of groups never seen from the spread of those that were.
    carry_forward : int
        As in `simulate`.
    assume : str or sequence of str
        ``no hidden causes``: compute although the declared graph does not license it. ``prior``:
        compute although the prior of a hidden cause's loadings decides. ``edge``: let the cause be
        held at an edge of its support.

    Returns
    -------
    Effect
        Draws with dims chain, draw, groups if any, and period in a panel.

    Raises
    ------
    LicenceError
        When the declared graph does not license the effect.
    SpecificationError
        When the question cannot be what it says.

    References
    ----------
    .. [1] Robins, J. (1986). A new approach to causal inference in mortality studies with a
       sustained exposure period. doi:10.1016/0270-0255(86)90088-6
    """
    question = ask(
        fit,
        cause,
        on=on,
        contrast=contrast,
        start=start,
        periods=periods,
        horizon=horizon,
        hold=hold,
        weight=weight,
        among=among,
        by=by,
        settings=Settings(
            seed=fit.settings.seed if seed is None else int(seed),
            draws=draws,
            replicates=replicates,
            panel=panel,
            inputs=inputs,
            new_groups=new_groups,
            carry_forward=carry_forward,
            assume=frozenset([assume] if isinstance(assume, str) else assume),
        ),
    )
    question.groups  # noqa: B018 # who is compared is settled before anything is simulated
    futures = _sample(question)
    licence = _licence(question, futures)
    return answer(question, licence, futures)


def answer(question: Question, licence: Licence, futures: Futures) -> Effect:
    """Simulate both worlds of a question and compare them.

    Parameters
    ----------
    question : Question
    licence : Licence
    futures : Futures
        A few draws of both worlds and the baseline.
    """
    _, first, second = question.run.programs
    found = average_worlds(
        question.run,
        first,
        second,
        question.outcome,
        question.groups,
        question.settings.replicates,
    )
    worlds = _labelled(question, found.levels)
    noise = _noise_share(found.levels, found.noise)
    return Effect(question, worlds, noise, licence, futures)


def _noise_share(levels: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the difference's variance that comes from simulating."""
    total = (levels[1] - levels[0]).var(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: NDArray[np.float64] = np.where(total > 0, np.minimum(noise / total, 1.0), 0.0)
    return share


def _labelled(question: Question, levels: NDArray[np.float64]) -> xr.DataArray:
    """Name the dims: world, chain, draw, groups if any, period in a panel."""
    import xarray as xr

    run, groups = question.run, question.groups
    chains, draws, _, periods = run.shape
    values = levels.reshape((2, chains, draws, len(groups.labels), periods))
    coords: dict[str, Any] = {
        "world": list(question.names),
        "chain": run.chains,
        "draw": run.draws,
    }
    dims = ["world", "chain", "draw"]
    if not groups.names:
        values = values[:, :, :, 0]
    elif len(groups.names) == 1:
        dims.append(groups.names[0])
        coords[groups.names[0]] = [label[0] for label in groups.labels]
    else:
        dims.append("group")
        coords["group"] = [", ".join(label) for label in groups.labels]
    if question.horizon is None:
        values = values[..., 0]
    else:
        dims.append("period")
        coords["period"] = run.future.coordinate
    attrs = {"units": question.outcome.unit}
    return xr.DataArray(values, dims=dims, coords=coords, name=question.outcome.text, attrs=attrs)


def _sample(question: Question) -> Futures:
    """Simulate a few draws of both worlds and the baseline, to judge their support."""
    s, run = question.settings, question.run
    chains, _, units, periods = run.shape
    per_draw = units * periods * 3 * len(question.twin.indicators)
    most = max(chains, min(_DRAWS_FOR_SUPPORT, _VALUES_FOR_SUPPORT // per_draw))
    return simulate(
        question.fit,
        periods=question.horizon,
        scenarios=question.scenarios,
        seed=s.seed,
        draws=min(most, s.draws),
        panel=s.panel,
        inputs=s.inputs,
        new_groups=s.new_groups,
        carry_forward=s.carry_forward,
        assume=sorted(s.assume & {"edge"}),
    )


def _licence(question: Question, futures: Futures) -> Licence:
    first, second = question.names
    outcomes = tuple(name for name in question.outcome.indicators if name in futures.draws)
    licence = licence_of(futures, second, first, outcomes, question.settings.assume - {"edge"})
    if question.among is not None:
        licence = replace(licence, supported=supported_verdict(supports(question, futures)))
    if licence.identified.status == "yes" and (problem := _grouping_problem(question)):
        if NO_HIDDEN_CAUSES in question.settings.assume:
            sentence = f"Association under the declared graph, not an effect. {problem}"
            licence = replace(licence, identified=Verdict("assumed", sentence, NO_HIDDEN_CAUSES))
        else:
            licence = replace(licence, identified=Verdict("no", problem, NO_HIDDEN_CAUSES))
    refuse(licence, outcomes)
    return licence


def _grouping_problem(question: Question) -> str:
    """Say when groups tell something of the outcome that no mechanism knows.

    What the cause acts on is drawn from its mechanism in every group alike. Where a hidden cause
    moves both that and what groups are chosen by, it would be drawn differently in each.
    """
    twin, graph = question.twin, question.twin.graph
    ends = set(question.outcome.indicators)
    above = ends.union(*(graph.ancestors(end) for end in ends))
    drawn = (graph.descendants(question.cause) & above) - {question.cause}
    for name, hidden in twin.hidden_causes.items():
        chosen, moved = question.grouping & set(hidden.affects), drawn & set(hidden.affects)
        if chosen and moved - chosen:
            label = name.replace("_", " ")
            return (
                f"{label}, which no column records, moves both {twin.label(min(chosen))}, by which "
                f"groups are chosen, and {twin.label(min(moved - chosen))}: in these groups the "
                f"effect does not follow from the mechanisms as fitted."
            )
    return ""
