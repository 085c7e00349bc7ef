"""Figures of effects show what their tables say."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.effects import Effect
from tests.effects.small import linear


@pytest.fixture(scope="module")
def effect() -> Effect:
    fit = linear({"x": {}, "y": {"x": 1.0, "y[-1]": 0.5}})
    return fit.effect("x", on="y", contrast=(0, 2), horizon=4, by="home")


def test_an_effect_is_drawn_over_time_in_a_panel_per_group(effect: Effect) -> None:
    figure = effect.plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["u00", "u01", "u02"]
    for axes in figure.axes:
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [2.0, 3.0, 3.5, 3.75])
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1  # groups can be compared


def test_one_period_is_a_line_per_group_with_its_date(effect: Effect) -> None:
    figure = effect.at(2).plot()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["u00", "u01", "u02"]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), 3.0)
    assert figure.get_suptitle() == (
        "By extrapolation beyond what the panel shows:\nx = 2, less x = 0, in 2024-05"
    )


def test_the_long_run_and_sums_are_drawn_too(effect: Effect) -> None:
    assert "in the long run" in effect.long_run().plot().get_suptitle()
    (first, *_) = effect.cumulative().plot().axes
    np.testing.assert_allclose(first.lines[0].get_ydata(), np.cumsum([2.0, 3.0, 3.5, 3.75]))
