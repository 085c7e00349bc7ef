"""What the futures bring if nothing is done: in sentences, and by level in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotwin.plots.quantity import quantity
from dotwin.reports.answers import headline_texts
from dotwin.reports.table import cell, declared, from_frame
from dotwin.reports.words import capital, range_words
from dotwin.worlds.program import BASELINE

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.spec.twin import Twin
    from dotwin.worlds import Futures

__all__ = ["forecasts", "futures_section", "outlook", "watched"]


def outlook(futures: Futures) -> list[str]:
    """Say what is expected if nothing is done, and where most; a sentence per watched quantity.

    Parameters
    ----------
    futures : Futures

    Returns
    -------
    list of str
    """
    twin = futures.twin
    sentences = []
    for text, worse in headline_texts(twin):
        shown = quantity(twin, text)
        row = _last(futures, text, None).iloc[0]
        when = "" if futures.run.future.frequency is None else f" in {row['period']}"
        sentence = f"{capital(shown.label)}: {_expected(row, shown.factor, shown.unit)}{when}"
        if twin.panel.levels:
            level = twin.panel.levels[0]
            table = _last(futures, text, level)
            if len(table) > 1:
                means = table["mean"].to_numpy()
                most = table.iloc[int(means.argmax() if worse == "higher" else means.argmin())]
                word = "highest" if worse == "higher" else "lowest"
                sentence += f"; {word} in {most[level]}, {_expected(most, shown.factor, '')}"
        sentences.append(f"{sentence}.{_crossing(futures, twin, text)}")
    return sentences


def _expected(row: pd.Series[Any], factor: float, unit: str) -> str:
    mean, low, high = (float(row[key]) * factor for key in ("mean", "5%", "95%"))
    return f"{cell(mean)} {unit}".rstrip() + f" (90 % interval {range_words(low, high)})"


def _last(futures: Futures, text: str, by: str | None) -> pd.DataFrame:
    frame = futures.summary(by=by, of=text)
    last = futures.run.future.labels[-1]
    return frame[(frame["scenario"] == BASELINE) & (frame["period"] == last)]


def _crossing(futures: Futures, twin: Twin, text: str) -> str:
    """Say how many units are expected beyond a threshold in the last period."""
    parts = []
    last = futures.run.future.labels[-1]
    for name, threshold in twin.thresholds.items():
        if threshold.of != text:
            continue
        each = futures.probability(name, by=twin.unit)
        each = each[(each["scenario"] == BASELINE) & (each["period"] == last)]
        line = threshold.above if threshold.above is not None else threshold.below
        assert line is not None  # a threshold has one side
        shown = quantity(twin, text)
        sign = "above" if threshold.above is not None else "below"
        unit = twin.unit.replace("_", " ")
        meaning = f" ({threshold.meaning})" if threshold.meaning else ""
        parts.append(
            f" {float(each['probability'].sum()):,.1f} of {len(each):,} {unit}s are expected "
            f"{sign} {declared(line * shown.factor)}{meaning}."
        )
    return "".join(parts)


def watched(futures: Futures) -> list[str]:
    """Return what forecasts are shown for: what thresholds watch, else all that is modelled."""
    found = [text for text, _ in headline_texts(futures.twin)]
    if found:
        return found
    twin = futures.twin
    return [
        f"share({name})" if twin.indicators[name].trials else name
        for name in map(str, futures.draws.data_vars)
        if not twin.indicators[name].is_given
    ]


def futures_section(futures: Futures) -> dict[str, Any]:
    """Say what the futures rest on."""
    labels = futures.run.future.labels
    left_out = futures.left_out
    return {
        "watched": watched(futures),
        "periods": list(labels),
        "notes": list(futures.notes),
        "left_out": from_frame(
            left_out, "Left out of the forecasts", [("unit", "unit"), ("reason", "reason")]
        ),
    }


def forecasts(futures: Futures) -> list[dict[str, Any]]:
    """Tabulate each watched quantity in the last period, all together and by level.

    Parameters
    ----------
    futures : Futures

    Returns
    -------
    list of dict
    """
    twin = futures.twin
    last = futures.run.future.labels[-1]
    result = []
    for text in watched(futures):
        shown = quantity(twin, text)
        tables = []
        for level in (None, *twin.panel.levels):
            frame = _last(futures, text, level).copy()
            for key in ("mean", "median", "5%", "95%"):
                frame[key] = frame[key] * shown.factor
            columns = [] if level is None else [(level, level.replace("_", " "))]
            columns += [("mean", "mean"), ("median", "median"), ("5%", "5 %"), ("95%", "95 %")]
            names = [k for k, t in twin.thresholds.items() if t.of == text]
            for name in names:
                chance = futures.probability(name, by=level)
                chance = chance[(chance["scenario"] == BASELINE) & (chance["period"] == last)]
                frame["crossing"] = 100 * chance["probability"].to_numpy()
                columns.append(("crossing", "beyond the threshold, %"))
            where = "all together" if level is None else f"by {level.replace('_', ' ')}"
            when = "" if futures.run.future.frequency is None else f" in {last}"
            tables.append(
                from_frame(
                    frame,
                    f"{shown.axis}{when}, nothing done, {where}",
                    columns,
                    "90 % equal-tailed interval over simulated futures",
                )
            )
        result.append({"text": text, "label": shown.axis, "tables": tables})
    return result
