"""One effect under several declared graphs: side by side, never averaged into one number."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.average.effect import effect
from dotwin.errors import LicenceError, SpecificationError, nearest
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.effects.average.result import Effect
    from dotwin.inference import Fit

__all__ = ["RivalEffects", "Rivals", "rivals"]

#: What is left out at a time.
_LEAVE_OUT = ("unit", "row")


@dataclass(frozen=True, eq=False, repr=False)
class RivalEffects:
    """One effect under each rival graph, beside how well each predicts the outcome.

    Made by `Rivals.effect`.

    Parameters
    ----------
    cause, on : str
    leave_out : {'unit', 'row'}
        What each prediction was made without.
    table : DataFrame
        A row per rival: ``rival``, ``identified`` (yes, no, assumed), ``period`` in a panel,
        ``mean``, ``5%``, ``95%`` and ``unit`` of the difference (missing where refused),
        ``weight``, ``elpd`` (the expected log predictive density of the outcome), ``behind`` (how
        far that lies below the best rival's) and its standard error ``behind_se``, ``unreliable``
        (the share of left out units or rows whose Pareto k is too high for it) and ``reason``,
        what the answer is or why there is none.
    effects : dict of str to Effect
        Of the rivals that answered, with all draws, periods and licences.
    """

    cause: str
    on: str
    leave_out: str
    table: pd.DataFrame
    effects: Mapping[str, Effect]

    @property
    def agree(self) -> bool | None:
        """Whether all rivals' intervals lie on the same side of zero; None if fewer than two."""
        if len(self.effects) < 2:
            return None
        return abs(int(self._sides().sum())) == len(self.effects)

    def _sides(self) -> NDArray[np.int64]:
        """-1, 0 (the interval includes zero) or 1, of each rival that answered."""
        low, high = (self.table[end].dropna().to_numpy(float) for end in ("5%", "95%"))
        sides: NDArray[np.int64] = (low > 0).astype(np.int64) - (high < 0).astype(np.int64)
        return sides

    def summary(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def plot(self) -> Any:
        """Draw each rival's effect beside its weight and the verdict on it."""
        return importlib.import_module("dotwin.plots").plot_rivals(self)

    def __repr__(self) -> str:
        asked, answered = len(self.table), len(self.effects)
        what = f"The effect of {self.cause} on {self.on}"
        if not answered:
            return f"{what} is licensed under none of {asked} rival graphs."
        rows = self.table.dropna(subset=["mean"])
        sizes = ", ".join(f"{number(r['mean'])} under {r['rival']}" for _, r in rows.iterrows())
        match self.agree:
            case None:
                finding = "is answered under one graph only, so nothing can agree with it"
            case True:
                side = "higher" if self._sides()[0] > 0 else "lower"
                finding = f"has the same sign ({side}) under all {answered} graphs that answer"
            case _ if {-1, 1} <= set(self._sides().tolist()):
                finding = f"has opposite signs under the {answered} graphs that answer"
            case _:
                finding = f"does not have one clear sign under the {answered} graphs that answer"
        refused = f"; {asked - answered} of {asked} refuse it" if answered < asked else ""
        best = self.table.iloc[int(self.table["weight"].argmax())]
        doubt = ""
        behind = self.table[self.table["behind"] > 0].sort_values("behind")
        if len(behind) < asked - 1 or behind["behind"].iloc[0] < 2 * behind["behind_se"].iloc[0]:
            doubt = "; the lead over the next is no better than chance would make it"
        if (self.table["unreliable"] > 0).any():
            doubt += "; some left-out densities, and so the weights, are unreliable"
        return (
            f"{what} {finding}: {sizes}{refused}. {best['rival']} has {best['weight']:.0%} of the "
            f"weight for predicting {self.on}, which does not say that its arrows are right{doubt}."
        )


@dataclass(frozen=True, eq=False, repr=False)
class Rivals:
    """Fits of one panel under rival graphs.

    Made by `rivals`.

    Parameters
    ----------
    fits : dict of str to Fit
        By the rival's name.
    """

    fits: Mapping[str, Fit]

    def __repr__(self) -> str:
        return f"Rivals: {len(self.fits)} graphs of one panel, {', '.join(self.fits)}."

    def effect(
        self, cause: str, *, on: str, leave_out: str | None = None, **question: Any
    ) -> RivalEffects:
        """Ask one effect of every rival, and weigh the rivals by how they predict the outcome.

        The weights stack the rivals' leave-one-out predictive densities of the outcome [1]_. They
        judge the outcome's mechanism alone. A graph that adjusts for an effect of the outcome may
        predict it best and have the effect wrong, so effects are never averaged by them.

        Parameters
        ----------
        cause : str
        on : str
            The outcome, an indicator with a mechanism in every rival.
        leave_out : {'unit', 'row'}, optional
            A unit with its own effect integrated out, or a row given all else; units in a panel
            with periods and rows in a cross-section unless given.
        **question
            As in `dotwin.effects.effect`, without ``by``.

        Returns
        -------
        RivalEffects
            In a panel, of the last period simulated.

        Raises
        ------
        SpecificationError
            When a rival cannot be asked, or the rivals do not predict the same values.

        References
        ----------
        .. [1] Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018). Using stacking to average
           Bayesian predictive distributions. doi:10.1214/17-BA1091
        """
        import pandas as pd

        if question.get("by") is not None:
            raise SpecificationError("by: rivals are compared on one effect; say among= instead.")
        first = next(iter(self.fits.values()))
        left = leave_out or ("unit" if first.twin.panel.period else "row")
        if left not in _LEAVE_OUT:
            raise SpecificationError(f"leave_out='{left}': {nearest(left, _LEAVE_OUT)}")
        _same_values(self.fits, on)
        answers = {name: _ask(name, fit, cause, on, question) for name, fit in self.fits.items()}
        effects = {n: a for n, a in answers.items() if not isinstance(a, LicenceError)}
        _same_question(effects)
        scores = _stack(self.fits, on, left)
        rows = []
        for name, answer in answers.items():
            if isinstance(answer, LicenceError):
                row: dict[Any, Any] = {"identified": "no", "reason": str(answer)}
            else:
                last = answer.summary().iloc[-1]
                kept = [c for c in ("period", "mean", "5%", "95%", "unit") if c in last]
                row = {"identified": answer.licence.identified.status, **last[kept].to_dict()}
                row["reason"] = answer.licence.meaning
            rows.append({"rival": name, **row, **scores.loc[name].to_dict()})
        columns = ["rival", "identified", "period", "mean", "5%", "95%", "unit"]
        columns += ["weight", "elpd", "behind", "behind_se", "unreliable", "reason"]
        if not first.twin.panel.period:
            columns.remove("period")
        table = pd.DataFrame(rows).reindex(columns=columns)
        return RivalEffects(cause, on, left, table, effects)


def rivals(fits: Mapping[str, Fit] | Sequence[Fit], names: Sequence[str] | None = None) -> Rivals:
    """Put fits of one panel under rival graphs side by side.

    Parameters
    ----------
    fits : dict of str to Fit, or sequence of Fit
        At least two, of the same units and periods.
    names : sequence of str, optional
        Of a sequence's rivals; the twins' names unless given.

    Returns
    -------
    Rivals

    Raises
    ------
    SpecificationError
        When there are fewer than two, names are not one for each, or the panels differ.

    Examples
    --------
    >>> from dotwin.effects.examples import joe
    >>> rivals({"homework matters": joe(), "so it does": joe()})
    Rivals: 2 graphs of one panel, homework matters, so it does.
    """
    if isinstance(fits, Mapping):
        if names is not None:
            raise SpecificationError("names: fits that come as a dict have their names.")
        named = dict(fits)
    else:
        words = [fit.twin.name for fit in fits] if names is None else list(names)
        if len(words) != len(fits) or len(set(words)) != len(words):
            raise SpecificationError(
                f"names: {words} for {len(fits)} fits; say one name for each, all different."
            )
        named = dict(zip(words, fits, strict=True))
    if len(named) < 2:
        raise SpecificationError(f"fits: {len(named)} given; a rival needs at least one other.")
    first, *others = named
    panel = named[first].panel
    for name in others:
        other = named[name].panel
        same = list(other.units) == list(panel.units)
        if not same or other.period_labels != panel.period_labels:
            raise SpecificationError(
                f"fits: '{name}' has other units or periods than '{first}'; fit all to one."
            )
    return Rivals(named)


def _ask(
    name: str, fit: Fit, cause: str, on: str, question: Mapping[str, Any]
) -> Effect | LicenceError:
    """Return a rival's effect, or why its graph does not license it."""
    try:
        return effect(fit, cause, on=on, **question)
    except LicenceError as refused:
        return refused
    except SpecificationError as error:
        raise SpecificationError(f"rival '{name}': {error}") from error


def _same_question(effects: Mapping[str, Effect]) -> None:
    """Refuse effects of different changes, which usual contrasts may be where twins differ."""
    contrasts = {name: one.question.contrast for name, one in effects.items()}
    if contrasts and not np.allclose(list(contrasts.values()), next(iter(contrasts.values()))):
        raise SpecificationError(
            f"contrast: the usual one differs between rivals ({contrasts}); say contrast=."
        )


def _same_values(fits: Mapping[str, Fit], on: str) -> None:
    """Refuse densities of different things: other rows, other values or another family."""
    first, *others = fits
    for name, fit in fits.items():
        if on not in fit.designs:
            raise SpecificationError(
                f"on='{on}': it has no fitted mechanism in rival '{name}', so nothing to weigh it "
                f"by. {nearest(on, fit.designs)}"
            )
    one = fits[first].designs[on]
    for name in others:
        other = fits[name].designs[on]
        if not np.array_equal(one.used, other.used):
            raise SpecificationError(
                f"the mechanism of '{on}' uses {one.rows:,} rows in '{first}' and {other.rows:,} "
                f"in '{name}', not all the same; give every rival the rows that all can use."
            )
        families = [fits[n].twin.indicators[on].family for n in (first, name)]
        trials = [np.ones(0) if d.trials is None else d.trials for d in (one, other)]
        if (
            families[0] != families[1]
            or not np.allclose(one.y, other.y)
            or not np.array_equal(trials[0], trials[1])
        ):
            raise SpecificationError(
                f"'{on}' has another family, values or trials in '{name}' than in '{first}', so "
                f"their densities cannot be compared; rivals differ in their arrows."
            )


def _stack(fits: Mapping[str, Fit], on: str, leave_out: str) -> pd.DataFrame:
    """Return weight, elpd and the unreliable share by rival."""
    import arviz as az
    import pandas as pd

    found = {}
    for name, fit in fits.items():
        with warnings.catch_warnings():
            # Told in the column ``unreliable``.
            warnings.filterwarnings("ignore", message="Estimated shape parameter")
            tree = fit.log_likelihood(on, leave_out=leave_out)
            found[name] = az.loo(tree, var_name=on, pointwise=True)
    # Stacking works on densities, and that of a whole unit may be too small to be a number. What
    # is common to all rivals does not move the weights.
    highest = np.max([one.elpd_i.values for one in found.values()], axis=0)
    shifted = {name: copy.copy(one) for name, one in found.items()}
    for one in shifted.values():
        one.elpd_i = one.elpd_i - highest
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compared = az.compare(shifted, method="stacking", round_to="none")
    scores = {
        name: {
            "weight": float(np.clip(compared.loc[name, "weight"], 0.0, 1.0)),
            "elpd": float(one.elpd),
            "behind": abs(float(compared.loc[name, "elpd_diff"])),
            "behind_se": float(compared.loc[name, "dse"]),
            "unreliable": float((one.pareto_k.values > one.good_k).mean()),
        }
        for name, one in found.items()
    }
    return pd.DataFrame.from_dict(scores, orient="index")
