"""Panels simulated from a twin, with the truth that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.worlds.machine import align
from dotwin.worlds.panel_frame import Frame, categories, varying
from dotwin.worlds.panel_system import run_system
from dotwin.worlds.panel_truth import Past, draw_hidden, draw_parameters, sub_seed, truth_of
from dotwin.worlds.rescaling import rescaled

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.mechanisms.design import Design
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["simulate_panel"]

#: Draws from the priors whose system nobody would believe are drawn again, so often at most.
_ATTEMPTS = 100


def simulate_panel(
    twin: Twin,
    *,
    units: Mapping[str, int],
    periods: int = 1,
    seed: int,
    parameters: Mapping[str, Any] | xr.Dataset | None = None,
    past: Past = "truth",
) -> Panel:
    """Simulate a panel of made-up units with known truth.

    Givens are drawn as `simulated_as` or `plausible` says, parameters from their priors, values
    from their mechanisms by the engine that simulates futures. The panel is one that the model
    describes exactly: before it begins, a run-in of 40 periods lets each unit settle with group
    effects of its own; at its beginning the groups take the effects of ``truth``, and from the
    first period that a mechanism is fitted on, its values come from the equation in ``truth``,
    first values of the unit included. Parameters drawn from the priors are drawn again
    when the panel explodes, stands still, or has an indicator whose median lies far outside its
    plausible range.

    A hidden cause is a standard normal trait of its level's groups (or a shock of each period).
    Where it is declared only, one sd of it adds 0.5 to the linear predictor of each indicator that
    it affects (0.5 reference sds where the link is the identity), so the panel is confounded as
    the twin declares. Where it is fitted, its loadings are coefficients of what it affects, and
    its values are parameters under its own name.

    Parameters
    ----------
    twin : Twin
    units : dict of str to int
        How many groups of each level, and how many units, such as
        ``{"region": 6, "provider": 60}``. Ids are made up: ``provider-01``.
    periods : int
    seed : int
    parameters : dict or Dataset, optional
        Parameters to fix, by their posterior name; the rest are drawn from their priors.
        ``<hidden cause>.loading`` changes what a hidden cause adds that is declared only.
    past : {'truth', 'prior'}
        Which coefficients and spreads the run-in has: those of ``truth``, so that the panel begins
        settled, or others drawn from the priors. A fit takes first values as given. By 'prior'
        they say nothing about the truth beyond that, and posteriors are exact: that is what
        simulation-based calibration of a mechanism with its own lag needs.

    Returns
    -------
    Panel
        With ``.truth``: every parameter under its posterior name and dims, and each hidden cause
        with its loading.

    Raises
    ------
    SpecificationError
        When a given has neither ``simulated_as`` nor ``plausible``, a parameter's name is unknown,
        or the system that fixed parameters describe explodes.

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="visits",
    ...     panel={"unit": "home"},
    ...     indicators={
    ...         "staff": {"domain": "workforce", "simulated_as": "normal(3, 1)"},
    ...         "visits": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ... )
    >>> panel = twin.simulate_panel(units={"home": 50}, seed=1)
    >>> sorted(panel.truth)
    ['visits.causes', 'visits.intercept']
    """
    if periods < 1 or (twin.panel.period is None and periods != 1):
        raise SpecificationError(
            f"periods={periods}: a panel has one or more, and a cross-section exactly one."
        )
    if past not in get_args(Past):
        raise SpecificationError(f"there is no past '{past}'. {nearest(past, get_args(Past))}")
    fixed = _fixed(parameters)
    frame = Frame.made_up(twin, units, periods, seed)
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        try:
            own = seed if attempt == 0 else sub_seed(seed, f"{attempt}")
            return _settled(frame, fixed, own, past)
        except (DataError, FloatingPointError) as error:
            failure = error
    raise SpecificationError(
        f"no panel could be simulated: {failure} It was so in each of {_ATTEMPTS} draws of the "
        f"parameters. Fix some with parameters= (persistences below 1), or give tighter priors."
    )


def _fixed(given: Mapping[str, Any] | xr.Dataset | None) -> dict[str, Any]:
    return {} if given is None else {str(k): np.asarray(v, float) for k, v in given.items()}


def _settled(frame: Frame, fixed: Mapping[str, Any], seed: int, past: Past) -> Panel:
    """Simulate again until the units' means and first values are those that made the panel."""
    from dotwin.mechanisms.design import build_design
    from dotwin.mechanisms.equation import Structure

    twin = frame.twin
    structure = Structure(varying(frame), categories(twin))

    def designed(panel: Panel, like: Mapping[str, Design] | None) -> dict[str, Design]:
        return {
            name: build_design(
                twin,
                name,
                panel,
                structure=structure,
                reference=None if like is None else like[name].reference,
            )
            for name in twin.stochastic
        }

    values = dict(frame.rough)
    panel = frame.unchecked(values)
    first = designs = designed(panel, None)
    drawn = draw_parameters(frame, first, fixed, seed, past)
    hidden = draw_hidden(frame, first, fixed, seed)
    # The mean of a cause is settled one round after the cause itself: the rounds that are needed
    # are no more than the indicators, since no cause whose mean is read follows from its child.
    for _ in range(len(designs) + 2):
        mechanisms = {n: align(d, frame.members, panel, panel) for n, d in designs.items()}
        before, values = values, run_system(frame, mechanisms, drawn, hidden, seed)
        if all(np.array_equal(values[n], before[n], equal_nan=True) for n in designs):
            break
        panel = frame.unchecked(values)
        designs = designed(panel, first)
    _refuse_implausible(frame, values)
    truth = dict(drawn.truth)
    for name, design in designed(panel, None).items():
        truth |= rescaled(first[name], design, truth)
    return frame.panel(values, truth_of(drawn.listed, truth, hidden))


def _refuse_implausible(frame: Frame, values: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a panel that nobody would take for one of its kind.

    The median of an indicator must lie in its plausible range, widened on the link scale by the
    range's own length on either side. Whether it does depends on the values alone, so what is left
    out changes no posterior given a panel that is kept.
    """
    from dotwin.mechanisms.families import build_family
    from dotwin.mechanisms.links import get_link

    twin = frame.twin
    for name in twin.stochastic:
        one, array = twin.indicators[name], values[name][:, frame.run_in :]
        known = array[np.isfinite(array)]
        if known.size > 1 and bool((known == known[0]).all()):
            raise FloatingPointError(f"{twin.label(name)} stands still.")
        if one.plausible is None or one.exposure is not None or one.family == "ordinal":
            continue
        over: Any = one.out_of or 1.0
        if one.trials is not None:
            over = np.maximum(values[one.trials][:, frame.run_in :], 1.0)
        link = get_link(build_family(str(one.family), link=one.link).link).forward
        low, high = (float(link(end / (one.out_of or 1.0))) for end in one.plausible)
        middle = float(link(np.nanmedian(array / over)))
        if np.isfinite([low, high]).all() and not 2 * low - high <= middle <= 2 * high - low:
            raise FloatingPointError(f"{twin.label(name)} is not plausible.")
