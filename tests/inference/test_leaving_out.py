"""The density of a group of units, against closed forms and sums over fine grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from dotwin.inference.group_densities import group_log_densities, refusal
from dotwin.inference.likelihood import _leave_out_unit
from dotwin.mechanisms import build_design
from dotwin.mechanisms.design import Design
from dotwin.spec import Twin
from tests.effects.small import MONTHS, make_panel

HOMES, PERIODS, REGIONS = 12, 5, 3


def design_of(
    pooling: list[str], family: str = "normal", zeros: str | None = None, **more: Any
) -> tuple[Design, Any]:
    """A mechanism of y with one cause, and three draws of its parameters."""
    rng = np.random.default_rng(7)
    twin = Twin(
        twin="grouped",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "kind": {"domain": "context"},
            "x": {"domain": "context"},
            "y": {
                "domain": "outcome",
                "family": family,
                "zeros": zeros,
                "pooling": pooling,
                "causes": {"x": {"between": "same", **more}},
            },
        },
    )
    x = rng.normal(size=(HOMES, PERIODS))
    y = rng.normal(size=(HOMES, PERIODS))
    if family != "normal":
        y = rng.poisson(0.7, size=y.shape) * (1.0 if family == "poisson" else np.exp(y))
    regions = [f"r{i % REGIONS}" for i in range(HOMES)]
    kinds = np.broadcast_to((np.arange(HOMES) < 5)[:, None], x.shape).astype(float)
    values = {"x": x, "y": y, "kind": kinds}
    panel = make_panel(twin, values, HOMES, PERIODS, {"region": regions})
    draws = {
        "y.intercept": rng.normal(size=3) * 0.3,
        "y.causes": rng.normal(size=(3, 1)),
        "y.sd_region": np.array([0.3, 0.8, 1.5]),
        "y.sd_home": np.array([0.5, 0.2, 1.0]),
        "y.region": rng.normal(size=(3, REGIONS)),
        "y.home": rng.normal(size=(3, HOMES)),
        "y.residual_sd": np.array([1.0, 0.6, 0.8]),
    }
    return build_design(twin, "y", panel), (draws, panel)


def fixed(design: Design, draws: Any, k: int, effects: tuple[str, ...] = ()) -> Any:
    """The linear predictor without what is integrated out."""
    eta = draws["y.intercept"][k] + design.main.columns @ draws["y.causes"][k]
    for level in effects:
        eta = eta + draws[f"y.{level}"][k][design.main.groups[level]]
    return eta


@pytest.mark.parametrize(
    ("pooling", "by", "own"),
    [
        (["region", "home"], "region", ("region", "home")),
        (["region", "home"], "kind", ("home",)),
        (["region"], "region", ("region",)),
        (["home"], "region", ("home",)),
        ([], "region", ()),
        (["region"], "kind", ()),
    ],
)
def test_normal_groups_have_their_multivariate_normal_density(
    pooling: list[str], by: str, own: tuple[str, ...]
) -> None:
    design, (draws, panel) = design_of(pooling)
    codes = panel.groups("region")[0]
    if by == "kind":
        codes = panel.values("kind")[:, 0].astype(np.intp)
    assert refusal(design, codes) == ""
    count = int(codes.max()) + 1
    found = group_log_densities(design, draws, codes, count)
    outside = tuple(level for level in pooling if level not in own)
    for k in range(3):
        mean = fixed(design, draws, k, outside)
        for g in range(count):
            rows = codes[design.unit] == g
            covariance = np.eye(rows.sum()) * draws["y.residual_sd"][k] ** 2
            for level in own:
                of = design.main.groups[level][rows]
                covariance += draws[f"y.sd_{level}"][k] ** 2 * (of[:, None] == of)
            exact = stats.multivariate_normal(mean[rows], covariance).logpdf(design.y[rows])
            assert found[k, g] == pytest.approx(exact, abs=1e-6)


def test_counts_are_summed_over_fine_grids_of_both_effects() -> None:
    design, (draws, panel) = design_of(["region", "home"], "poisson")
    codes = panel.groups("region")[0]
    found = group_log_densities(design, draws, codes, REGIONS)
    # So fine and so wide that the sums are the integrals to more digits than are asked for.
    grid = np.linspace(-7.0, 7.0, 281)
    cell = np.log(grid[1] - grid[0])
    for k in range(3):
        eta = fixed(design, draws, k)
        r, v = grid * draws["y.sd_region"][k], grid * draws["y.sd_home"][k]
        prior = stats.norm.logpdf(grid) + cell
        for g in range(REGIONS):
            total = prior.copy()
            for home in np.flatnonzero(codes == g):
                rows = design.unit == home
                effect = r[:, None] + v
                logs = stats.poisson.logpmf(
                    design.y[rows], np.exp(eta[rows] + effect[..., None])
                ).sum(axis=-1)
                total += logsumexp(logs + prior, axis=1)
            assert found[k, g] == pytest.approx(logsumexp(total), abs=1e-3)


def test_units_in_no_group_take_no_part() -> None:
    design, (draws, panel) = design_of(["home"])
    codes = panel.groups("region")[0]
    some = np.where(codes == 1, -1, codes)
    whole = group_log_densities(design, draws, codes, REGIONS)
    found = group_log_densities(design, draws, some, REGIONS)
    np.testing.assert_allclose(found[:, [0, 2]], whole[:, [0, 2]])
    assert (found[:, 1] == 0).all()


def test_slopes_of_the_group_itself_are_out_of_reach() -> None:
    design, (_, panel) = design_of(["region", "home"], varying=["region"])
    assert "several effects of each region" in refusal(design, panel.groups("region")[0])
    # They are parameters of the others where the groups cut across them.
    kinds = panel.values("kind")[:, 0].astype(np.intp)
    assert refusal(design, kinds) == ""


def test_what_no_effect_enters_counts_too() -> None:
    # A hurdle's zeros have an equation of their own, and kernels leave constants out.
    design, (draws, _) = design_of(["home"], "lognormal", zeros="hurdle")
    draws |= {"y.zeros.intercept": np.array([-0.5, 0.2, 0.4])}
    units = np.arange(HOMES)
    found = group_log_densities(design, draws, units, HOMES)
    np.testing.assert_allclose(found, _leave_out_unit(design, draws, "home"), atol=1e-6)
