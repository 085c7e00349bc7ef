"""Every result has a figure, in its own words, made without any global state."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

import dotwin as dw
from dotwin.inference.predictive import predictive_check
from dotwin.plots import (
    as_svg,
    plot_check,
    plot_coefficients,
    plot_contrast,
    plot_convergence,
    plot_futures,
    plot_groups,
    plot_priors,
    plot_support,
    quantity,
)
from tests.reports.examples import AWKWARD, small_fit, small_futures, small_twin


def figures() -> dict[str, Callable[[], Figure]]:
    fit, futures = small_fit(False), small_futures(False)
    contrast = futures.contrast("fill posts", replicates=2)
    return {
        "futures": lambda: plot_futures(futures, "missed_share", by="region"),
        "futures of all": lambda: futures.plot("missed"),
        "contrast": lambda: plot_contrast(contrast, "missed_share"),
        "contrast of all": lambda: contrast.plot(),
        "groups": lambda: plot_groups(contrast, "missed_share", "region"),
        "support": lambda: plot_support(futures.support("fill posts")),
        "coefficients": lambda: plot_coefficients(fit, "missed"),
        "priors": lambda: plot_priors(fit, "vacancy"),
        "convergence": lambda: plot_convergence(fit, "missed"),
        "check": lambda: plot_check(fit.twin, predictive_check(fit, "missed", seed=1)),
    }


@pytest.mark.parametrize(
    "name",
    [
        "futures",
        "futures of all",
        "contrast",
        "contrast of all",
        "groups",
        "support",
        "coefficients",
        "priors",
        "convergence",
        "check",
    ],
)
def test_every_result_gives_a_figure_that_is_svg(name: str) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    figure = figures()[name]()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == before
    text = as_svg(figure, "f1", 'a "figure" & more')
    root = ET.fromstring(text)
    assert root.get("aria-label") == 'a "figure" & more'
    assert "<metadata" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert all(one.startswith("f1-") for one in ids)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', text)) <= set(ids)


def test_forecast_draws_history_medians_and_the_threshold() -> None:
    futures = small_futures(False)
    figure = plot_futures(futures, "missed_share", by="region")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        name for (name,) in futures.groups("region").labels
    ]
    panel = small_fit(False).panel
    codes, _ = panel.groups("region")
    missed, visits = panel.values("missed"), panel.values("visits")
    first = codes == 0
    expected = 100 * missed[first].sum(axis=0) / visits[first].sum(axis=0)
    history = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(history, expected)
    summary = futures.summary(by="region", of="missed_share")
    base = summary[(summary["scenario"] == "baseline")]
    base = base[base["region"] == futures.groups("region").labels[0][0]]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), 100 * base["median"])
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert 5.0 in levels


def test_difference_is_drawn_in_percentage_points() -> None:
    contrast = small_futures(False).contrast("fill posts", replicates=2)
    axes = plot_contrast(contrast, "missed_share").axes[0]
    expected = 100 * contrast.summary(on="missed / visits")["median"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), expected)
    assert axes.get_ylabel() == "percentage points"


def test_labels_with_markup_and_dollars_are_drawn_as_they_are() -> None:
    text = as_svg(plot_futures(small_futures(False), "missed_share"), "f1", "d")
    assert AWKWARD in "".join(ET.fromstring(text).itertext())


def test_svg_is_the_same_each_time() -> None:
    one, other = (as_svg(plot_coefficients(small_fit(False), "missed"), "f", "d") for _ in "ab")
    assert one == other


def test_quantities_are_said_in_words_of_the_twin() -> None:
    twin = dw.read_twin("workforce_pressure")
    assert quantity(twin, "waiting_list").axis == "backlog (per 100 clients)"
    assert quantity(twin, "hospitalizations").total
    assert quantity(twin, "missed_visits / scheduled_visits").factor == 100
    assert quantity(twin, "log1p(backlog)").label == "log1p(backlog)"
    assert quantity(small_twin(), "vacancy").unit == "% of funded posts"
    homes = dw.read_twin("nursing_home_outcomes")
    assert quantity(homes, "agency_hours_pct").difference == "percentage points"
