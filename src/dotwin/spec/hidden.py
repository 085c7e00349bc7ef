"""What a hidden cause declares that cannot be so."""

from __future__ import annotations

from collections.abc import Iterator

from dotwin.errors import Problem, nearest
from dotwin.spec.declarations import is_positive
from dotwin.spec.twin import HiddenCause, Twin

__all__ = ["problems_of_hidden_causes"]

type _Path = tuple[str | int, ...]


def problems_of_hidden_causes(twin: Twin) -> Iterator[Problem]:
    """Yield what is wrong with a twin's hidden causes.

    Parameters
    ----------
    twin : Twin
    """
    levels = (*twin.panel.all_levels, *(("period",) if twin.panel.period is not None else ()))
    for name, hidden in twin.hidden_causes.items():
        path: _Path = ("hidden_causes", name)
        if len(set(hidden.affects)) < 2:
            yield Problem.at(
                (*path, "affects"), "a hidden cause affects at least two indicators, each once."
            )
        for position, affected in enumerate(hidden.affects):
            if what := _affected(twin, affected):
                yield Problem.at((*path, "affects", position), what)
        if hidden.level not in levels:
            hint = nearest(hidden.level, levels)
            yield Problem.at((*path, "level"), f"there is no level '{hidden.level}'. {hint}")
        elif hidden.is_fitted:
            yield from _fitted(twin, hidden, path)
        yield from _loadings(hidden, path)


def _affected(twin: Twin, name: str) -> str | None:
    if name not in twin.indicators:
        return f"there is no indicator '{name}'. {nearest(name, twin.indicators)}"
    one = twin.indicators[name]
    if one.family is None and not one.causes:
        kind = "is given" if one.is_given else "equals others"
        return f"'{name}' {kind}, so nothing hidden can act on it; give it a family."
    return None


def _fitted(twin: Twin, hidden: HiddenCause, path: _Path) -> Iterator[Problem]:
    if hidden.over == "period" and twin.panel.period is None:
        yield Problem.at((*path, "over"), "a cross-section has one period; write over: constant.")
    if hidden.level == "period" and hidden.over == "constant":
        yield Problem.at(
            (*path, "over"),
            "of level 'period' it has a value for each period that all units share; write "
            "over: period.",
        )
    if len(set(hidden.affects)) < len(hidden.affects):
        yield Problem.at((*path, "affects"), "names an indicator twice.")
    levels = twin.panel.all_levels
    for position, affected in enumerate(hidden.affects):
        one = twin.indicators.get(affected)
        if one is None or one.level not in levels or hidden.level == "period":
            continue
        if levels.index(one.level) < levels.index(hidden.level):
            yield Problem.at(
                (*path, "affects", position),
                f"'{affected}' is recorded by {one.level}, so nothing that differs by "
                f"{hidden.level} within it can be fitted to it.",
            )


def _loadings(hidden: HiddenCause, path: _Path) -> Iterator[Problem]:
    if hidden.loadings and not hidden.is_fitted:
        yield Problem.at(
            (*path, "loadings"),
            "belong to a hidden cause that is fitted; add over: constant or over: period.",
        )
    for name, prior in hidden.loadings.items():
        place = (*path, "loadings", name)
        if name not in hidden.affects:
            yield Problem.at(place, f"it does not affect '{name}'. {nearest(name, hidden.affects)}")
        elif name == hidden.affects[0] and not is_positive(prior):
            yield Problem.at(
                place,
                f"'{prior}' allows values below 0, and the first indicator fixes the sign of what "
                f"is hidden; write half_normal(0.5), or name another indicator first.",
            )
