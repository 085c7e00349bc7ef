"""Take what was learnt in one place to another: which mechanisms may differ there?

A selection diagram [1]_ marks the mechanisms that may differ between two places. The g-formula is a
product of mechanisms, so an effect is taken over factor by factor: what is the same is reused, what
may differ is estimated anew from the new place's own panel, and what may differ but is not recorded
there blocks every effect that needs it. A mechanism that the intervention replaces is not needed.

.. [1] Pearl, J. and Bareinboim, E. (2011). Transportability of causal and statistical relations: a
   formal approach. AAAI 25, 247-254. doi:10.1609/aaai.v25i1.7861
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import DataError, LicenceError, SpecificationError, nearest
from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.fit import Fit, assemble
from dotwin.inference.fitting import engines_like
from dotwin.inference.schedule import run
from dotwin.mechanisms.design import Design, build_design
from dotwin.worlds.licence import SAME_MECHANISMS, Verdict
from dotwin.worlds.machine import Machine, Mechanism, align
from dotwin.worlds.noise import normal_noise, tail_noise, unit_numbers
from dotwin.worlds.run import draw_number
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.effects.average.question import Hold
    from dotwin.effects.average.result import Effect
    from dotwin.panel import Panel
    from dotwin.worlds.aggregate import By
    from dotwin.worlds.futures import Futures

__all__ = ["Transport", "transport"]

Word = Literal["reused", "re-estimated", "blocking"]
#: Steps of adaptation, where the earlier fit had none.
_TUNE = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Transport:
    """A fit in a new place.

    Made by `transport`.

    Parameters
    ----------
    source : Fit
        Where the mechanisms were learnt.
    fit : Fit
        The mechanisms in the new place, on its panel. Blocking ones are those of the source.
    table : DataFrame
        A row per mechanism: ``mechanism``, ``verdict`` ('reused', 're-estimated' or 'blocking') and
        ``reason``.
    differs : tuple of str
        The mechanisms that may differ.
    """

    source: Fit
    fit: Fit
    table: pd.DataFrame
    differs: tuple[str, ...]

    def verdict(self, mechanism: str) -> Word:
        """Return what becomes of a mechanism."""
        found = self.table.loc[self.table["mechanism"] == mechanism, "verdict"].tolist()
        if not found:
            raise SpecificationError(
                f"'{mechanism}' has no mechanism. {nearest(mechanism, self.table['mechanism'])}"
            )
        word: Word = found[0]
        return word

    @property
    def blocking(self) -> tuple[str, ...]:
        """The mechanisms that may differ and are not recorded in the new place."""
        return tuple(self.table.loc[self.table["verdict"] == "blocking", "mechanism"])

    @property
    def sentence(self) -> str:
        """What is taken over, and what is not."""
        label = self.fit.twin.label
        parts = []
        for word in ("re-estimated", "blocking", "reused"):
            names = self.table.loc[self.table["verdict"] == word, "mechanism"]
            if len(names):
                parts.append(f"{', '.join(map(label, names))} {word}")
        return "; ".join(parts)

    def __repr__(self) -> str:
        units = len(self.fit.panel.units)
        return f"'{self.fit.twin.name}' in a new place of {units:,} units: {self.sentence}."

    def __str__(self) -> str:
        lines = [repr(self)]
        lines += [f"{r.mechanism}: {r.verdict}. {r.reason}" for r in self.table.itertuples()]
        return "\n".join(lines)

    def needed(self, cause: str, on: str, *, natural: bool = False) -> tuple[str, ...]:
        """Return the mechanisms that an effect is made of.

        Parameters
        ----------
        cause, on : str
            Indicators.
        natural : bool
            Whether the cause's own mechanism goes on to matter, because the change begins later or
            ends.
        """
        graph = self.fit.twin.graph
        above: dict[str, set[str]] = {}
        for arrow in graph.arrows:
            if natural or arrow.effect != cause:
                above.setdefault(arrow.effect, set()).add(arrow.cause)
        found, waiting = {on}, [on]
        while waiting:
            fresh = above.get(waiting.pop(), set()) - found
            found |= fresh
            waiting += fresh
        if not natural:
            found.discard(cause)
        return tuple(name for name in self.fit.designs if name in found)

    def effect(
        self,
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
        assume: str | Sequence[str] = (),
    ) -> Effect:
        """Ask for an effect in the new place; see `dotwin.effects.effect` for the parameters.

        Parameters
        ----------
        assume : str or sequence of str
            Also ``same mechanisms``: use the source's mechanism where it may differ and nothing of
            it is recorded in the new place.

        Raises
        ------
        LicenceError
            When a mechanism that the effect needs blocks it.
        """
        from dotwin.effects.average.effect import effect
        from dotwin.effects.outcome import read_outcome

        assumed = {assume} if isinstance(assume, str) else set(assume)
        outcomes = read_outcome(self.fit.twin, on, weight).indicators
        natural = hold == "once" or periods is not None or start is not None
        needed = {
            name: None for one in outcomes for name in self.needed(cause, one, natural=natural)
        }
        missing = [name for name in needed if name in self.blocking]
        if missing and SAME_MECHANISMS not in assumed:
            reasons = self.table.set_index("mechanism")["reason"]
            raise LicenceError(
                "; ".join(
                    f"{name} may differ in the new place: {reasons[name]}" for name in missing
                )
                + f". So the effect of {cause} on {on} cannot be taken there. Record it there, or "
                f"say assume='{SAME_MECHANISMS}' to see what it would be if nothing differed."
            )
        found = effect(
            self.fit,
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
            seed=seed,
            draws=draws,
            assume=sorted(assumed - {SAME_MECHANISMS}),
        )
        return replace(found, licence=replace(found.licence, identified=self._said(found, needed)))

    def _said(self, effect: Effect, needed: Mapping[str, None]) -> Verdict:
        before = effect.licence.identified
        label = self.fit.twin.label
        words = {word: [label(n) for n in needed if self.verdict(n) == word] for word in _WORDS}
        parts = [f"{', '.join(names)} {_WORDS[word]}" for word, names in words.items() if names]
        sentence = f"{before.sentence} In the new place: {'; '.join(parts) or 'nothing is needed'}."
        if words["blocking"]:
            return Verdict("assumed", sentence, before.assumption or SAME_MECHANISMS)
        return Verdict(before.status, sentence, before.assumption)

    def simulate(
        self, *, periods: int | None = None, scenarios: Any = (), seed: int, draws: int = 500
    ) -> Futures:
        """Simulate the new place; see `dotwin.worlds.simulate`.

        Raises
        ------
        LicenceError
            When any mechanism blocks, since futures need them all.
        """
        if self.blocking:
            raise LicenceError(
                f"{', '.join(self.blocking)} may differ in the new place and nothing of it is "
                f"recorded there, so no future can be simulated."
            )
        futures: Futures = self.fit.simulate(
            periods=periods, scenarios=scenarios, seed=seed, draws=draws
        )
        return futures


_WORDS: dict[str, str] = {
    "re-estimated": "estimated there",
    "reused": "taken to be the same",
    "blocking": "assumed to be the same without being recorded there",
}


def transport(
    fit: Fit, panel: Panel, *, differs: Sequence[str] | str = (), seed: int | None = None
) -> Transport:
    """Take a fit to a new place.

    Units, givens and last states are those of the new panel. Effects of groups that the fit has
    never seen are drawn from the spread of those that it has, mechanism by mechanism; known
    groups keep theirs. Period shocks are the new place's own.

    Parameters
    ----------
    fit : Fit
    panel : Panel
        The new place, read with the fit's twin.
    differs : str or sequence of str
        The mechanisms that may differ there; all others are taken to be the same.
    seed : int, optional
        The fit's own unless given.

    Returns
    -------
    Transport

    Raises
    ------
    SpecificationError
        When what may differ is no mechanism, or the panel is another twin's.
    """
    import pandas as pd

    twin = fit.twin
    marked = (differs,) if isinstance(differs, str) else tuple(differs)
    for name in marked:
        if name in twin.indicators and twin.indicators[name].is_given:
            raise SpecificationError(
                f"differs: {name} is given, so its values come from the new panel anyway; name "
                f"mechanisms."
            )
        if name not in fit.designs:
            raise SpecificationError(f"differs: {name}: {nearest(name, fit.designs)}")
    if panel.twin.panel != twin.panel:
        raise SpecificationError("panel: read it with read_panel(source, fit.twin).")
    if fit.factors:
        raise SpecificationError(
            f"{', '.join(fit.factors)}: mechanisms that share a hidden cause are not taken to a "
            f"new place one by one; leave out over: to declare it only, and fit anew."
        )
    seed = fit.settings.seed if seed is None else int(seed)
    carried = _Carried(fit, panel, seed)
    components, results, rows = [], [], []
    anew: list[Component] = []
    for name in fit.designs:
        word, reason, design = _judge(fit, panel, name, name in marked)
        rows.append((name, word, reason))
        if design is not None:
            anew.append(Component((design,)))
            continue
        component, drawn = carried.component(name)
        components.append(component)
        results.append(drawn)
    settings = replace(fit.settings, seed=seed)
    if anew:
        sampling = Settings(settings.draws, settings.tune or _TUNE, settings.chains, seed)
        components += anew
        results += run(anew, engines_like(fit), sampling, cache=None, progress=False)
        settings = sampling
    # Statistics of chains belong to the source's components; only what was sampled here has them.
    results = [replace(one, statistics={}) for one in results]
    there = assemble(twin, panel, components, results, settings, fit.engine)
    table = pd.DataFrame(rows, columns=["mechanism", "verdict", "reason"])
    return Transport(fit, there, table, marked)


def _judge(fit: Fit, panel: Panel, name: str, marked: bool) -> tuple[Word, str, Design | None]:
    """Say what becomes of a mechanism, with its design in the new place where it is estimated."""
    one = fit.twin.indicators[name]
    if not marked:
        if one.trend == "walk":
            return (
                "blocking",
                "its level walks over time, and where it stands in the new place is unknown; name "
                "it in differs= to estimate it there",
                None,
            )
        return "reused", "taken to be the same in the new place", None
    if name not in panel.data:
        return "blocking", "the new panel does not record it", None
    try:
        design = build_design(
            fit.twin,
            name,
            panel,
            structure=fit.designs[name].structure,
            reference=fit.designs[name].reference,
        )
    except DataError as error:
        return "blocking", str(error).rstrip("."), None
    least = 1 + len(design.equation.main.terms)
    if design.rows <= least:
        return "blocking", f"the new panel has {design.rows} rows for {least} coefficients", None
    return "re-estimated", f"from {design.rows:,} rows of the new panel", design


@dataclass(frozen=True, eq=False)
class _Carried:
    """Mechanisms that are taken over, lined up with the groups of the new place."""

    fit: Fit
    panel: Panel
    seed: int

    def component(self, name: str) -> tuple[Component, Draws]:
        """Return a mechanism of the source as a component of the new place."""
        fit, panel = self.fit, self.panel
        design = fit.designs[name]
        units = tuple(map(str, panel.units))
        levels = {}
        for level in fit.twin.panel.all_levels:
            codes, names = panel.groups(level)
            levels[level] = Grouping(np.asarray(codes), tuple(map(str, names)))
        mechanism = align(design, Membership(units, levels), fit.panel, panel)
        groups = {level: list(levels[level].names) for level in design.group_names}
        values = self._values(name, mechanism, groups)
        empty = np.zeros(0)
        there = replace(
            design,
            constants=mechanism.constants,
            group_names=groups,
            period_names=list(panel.period_labels),
            unit=empty.astype(np.intp),
            period=empty.astype(np.intp),
            y=empty,
            trials=None,
            lower=None,
            predictors=(),
            used=np.zeros((len(units), len(panel.period_labels)), dtype=bool),
        )
        members = next(c for c in fit.components if name in c)
        source = " + ".join(members)
        engine, seconds = fit.engines.get(source, ("", 0.0))
        drawn = Draws(
            values, {}, engine, seconds, fit.certificates.get(source), fit.declined.get(source, "")
        )
        return Component((there,)), drawn

    def _values(
        self, name: str, mechanism: Mechanism, groups: Mapping[str, list[str]]
    ) -> dict[str, NDArray[np.float64]]:
        """Return the parameters, with the new place's groups in the order of its panel."""
        taken = self.fit.draws()
        own = {
            key: values
            for key, values in taken.values.items()
            if key == name or key.startswith(f"{name}.")
        }
        numbers = draw_number(taken.chain, taken.draw)
        machine = Machine({name: mechanism}, own, numbers)
        full = dict(machine.block(slice(0, len(taken)), self.seed).parameters)
        design = mechanism.design
        for predictor in design.equation.predictors:
            for level in dict.fromkeys((*predictor.levels, *predictor.slope_levels)):
                seen = [*design.group_names[level], *mechanism.unseen.get(level, ())]
                place = {group: i for i, group in enumerate(seen)}
                index = [place[group] for group in groups[level]]
                for key in (f"{predictor.prefix}.{level}", f"{predictor.prefix}.slope_{level}"):
                    if key in full:
                        full[key] = full[key][..., index]
            if predictor.period:
                key = f"{predictor.prefix}.period"
                periods = unit_numbers(list(self.panel.period_labels))
                noise = normal_noise(tail_noise(self.seed, f"{key} there", numbers, periods, 0))
                full[key] = full[f"{predictor.prefix}.sd_period"][:, None] * noise
            if predictor.walk:
                # Blocked, so nothing reads it; it only fills its place.
                key = f"{predictor.prefix}.walk"
                full[key] = np.zeros((len(taken), len(self.panel.period_labels)))
        sizes = self.fit.posterior["posterior"].sizes
        chains = int(sizes["chain"])
        return {key: v.reshape((chains, -1, *v.shape[1:])) for key, v in full.items()}
