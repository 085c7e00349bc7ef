"""A quantity in words that people read: its label, its unit, and the scale on which it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from dotwin.spec.expressions import Arithmetic, Call, Ref, parse
from dotwin.spec.twin import Twin
from dotwin.worlds.aggregate import adds_up

__all__ = ["Quantity", "quantity"]


@dataclass(frozen=True)
class Quantity:
    """How an indicator or expression is shown.

    Parameters
    ----------
    text : str
        The expression.
    label : str
    unit : str
    factor : float
        What values are multiplied with before they are shown; 100 for shares.
    difference : str
        The unit of a difference.
    total : bool
        Whether it adds up over units.
    """

    text: str
    label: str
    unit: str
    factor: float
    difference: str
    total: bool

    @property
    def axis(self) -> str:
        """The label with its unit, for an axis or a heading."""
        if not self.unit:
            return self.label
        return f"{self.label} ({self.unit})"


def quantity(twin: Twin, text: str) -> Quantity:
    """Say how an indicator, expression or threshold's quantity is shown.

    Parameters
    ----------
    twin : Twin
    text : str
        An indicator, an expression, or a threshold's name.

    Returns
    -------
    Quantity

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.read_twin("workforce_pressure")
    >>> quantity(twin, "missed_visits_share").axis
    'missed visits (% of scheduled visits)'
    >>> quantity(twin, "vacancy_rate").difference
    'percentage points'
    """
    if text in twin.thresholds:
        text = twin.thresholds[text].of
    expression = parse(text)
    match expression:
        case Ref(name=name, lag=0) if name in twin.indicators:
            return _indicator(twin, name)
        case Call(function="share", arguments=(Ref(name=name),)) if name in twin.indicators:
            trials = twin.indicators[name].trials
            if trials is not None:
                return _share(twin, text, name, trials)
        case Arithmetic(op="/", left=Ref(name=above), right=Ref(name=below)) if {
            above,
            below,
        } <= set(twin.indicators):
            if twin.indicators[above].trials == below:
                return _share(twin, text, above, below)
            if adds_up(twin, above) and adds_up(twin, below):
                unit = f"per 100 {twin.label(below)}"
                return Quantity(text, twin.label(above), unit, 100.0, unit, False)
    return Quantity(text, text, "", 1.0, "", False)


def _indicator(twin: Twin, name: str) -> Quantity:
    unit, label = twin.indicators[name].unit, twin.label(name)
    if unit.startswith("share "):
        shown = f"% {unit.removeprefix('share ')}"
        return Quantity(name, label, shown, 100.0, "percentage points", False)
    difference = "percentage points" if unit.startswith("%") else unit
    return Quantity(name, label, unit, 1.0, difference, adds_up(twin, name))


def _share(twin: Twin, text: str, name: str, trials: str) -> Quantity:
    unit = f"% of {twin.label(trials)}"
    return Quantity(text, twin.label(name), unit, 100.0, "percentage points", False)
