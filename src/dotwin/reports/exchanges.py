"""What a redeployment brings to those who receive, and what to those who give, in sentences."""

from __future__ import annotations

from dotwin.plots.quantity import quantity
from dotwin.reports.answers import Answer
from dotwin.reports.table import cell
from dotwin.reports.words import capital, range_words

__all__ = ["exchange_sentences"]

_DO = {"receives": "receive", "gives": "give", "neither": "do neither"}


def exchange_sentences(answer: Answer) -> list[str]:
    """Say for each finding what it is for those who receive and for those who give.

    Parameters
    ----------
    answer : Answer

    Returns
    -------
    list of str
        Empty where the scenario moves no resource, or several.
    """
    contrast = answer.contrast
    futures, twin = contrast.futures, contrast.futures.twin
    moved = [name for scenario, name in futures.received if scenario == contrast.name]
    if len(moved) != 1:
        return []
    found = []
    for finding in answer.findings:
        shown = quantity(twin, finding.quantity.text)
        table = contrast.gains_and_losses(on=shown.text)
        last = table[table["period"] == table["period"].iloc[-1]]
        parts = []
        for row in last.to_dict("records"):
            mean, low, high = (float(row[key]) * shown.factor for key in ("mean", "5%", "95%"))
            parts.append(
                f"{cell(mean)} ({range_words(low, high)}) for the {row['units']} that "
                f"{_DO[row['role']]}"
            )
        found.append(
            f"{capital(shown.label)}, by who receives and who gives {twin.label(moved[0])}: "
            f"{'; '.join(parts)}."
        )
    return found
