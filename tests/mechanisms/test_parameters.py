"""Parameters have the priors that the twin states, and draws of them follow these priors."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from dotwin.mechanisms.parameters import draw_prior, parameters
from tests.mechanisms.small import STARS, design_of, small_panel, small_table, small_twin

ONE: dict[str, Any] = {
    "family": "negative_binomial",
    "pooling": ["region", "provider", "period"],
    "trend": "walk",
    "causes": {
        "staffing": {"prior": "student_t(4, 1, 2)", "varying": ["region"]},
        "beds": {"prior": "uniform(-1, 3)"},
        "days": {"prior": "gamma(2, 4)"},
    },
    "priors": {
        "intercept": "normal(1, 2)",
        "region": "exponential(4)",
        "provider": "half_student_t(3, 2)",
        "dispersion": "lognormal(-1, 0.5)",
        "slope_region": "beta(2, 3)",
    },
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    table = small_table().assign(y=np.random.default_rng(1).poisson(3, 72))
    design = design_of(small_panel(table, y=ONE), "y")
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    return draw_prior(listed, 4000, 5)


def test_prior_draws_follow_the_stated_distributions(drawn: dict[str, Any]) -> None:
    claims = {
        "y.intercept": (drawn["y.intercept"], stats.norm(1, 2)),
        "staffing": (drawn["y.causes"][:, 0], stats.t(4, 1, 2)),
        "beds": (drawn["y.causes"][:, 1], stats.uniform(-1, 4)),
        "days": (drawn["y.causes"][:, 2], stats.gamma(2, scale=1 / 4)),
        "y.sd_region": (drawn["y.sd_region"], stats.expon(scale=1 / 4)),
        "y.sd_provider": (drawn["y.sd_provider"] / 2, stats.foldcauchy),
        "y.sd_slope_region": (drawn["y.sd_slope_region"][:, 0], stats.beta(2, 3)),
        "y.sd_walk": (drawn["y.sd_walk"], stats.halfnorm(scale=0.1)),
        "dispersion": (drawn["y.dispersion"] ** -0.5, stats.lognorm(0.5, scale=np.exp(-1))),
    }
    del claims["y.sd_provider"]
    for name, (values, distribution) in claims.items():
        assert stats.kstest(values, distribution.cdf).pvalue > 1e-4, name
    absolute = np.abs(np.random.default_rng(2).standard_t(3, 4000)) * 2
    assert stats.ks_2samp(drawn["y.sd_provider"], absolute).pvalue > 1e-4


def test_effects_are_normal_around_0_with_their_own_sd(drawn: dict[str, Any]) -> None:
    for name, sd in (("y.provider", "y.sd_provider"), ("y.region", "y.sd_region")):
        z = (drawn[name] / drawn[sd][:, None]).ravel()
        assert stats.kstest(z, stats.norm.cdf).pvalue > 1e-4
    slopes = drawn["y.slope_region"][:, 0] / drawn["y.sd_slope_region"][:, 0, None]
    assert stats.kstest(slopes.ravel(), stats.norm.cdf).pvalue > 1e-4


def test_a_walk_starts_at_0_and_takes_steps_of_its_sd(drawn: dict[str, Any]) -> None:
    assert (drawn["y.walk"][:, 0] == 0).all()
    steps = np.diff(drawn["y.walk"], axis=1) / drawn["y.sd_walk"][:, None]
    assert stats.kstest(steps.ravel(), stats.norm.cdf).pvalue > 1e-4


def test_fixed_parameters_stay_and_the_same_seed_gives_the_same_draws() -> None:
    table = small_table().assign(y=np.random.default_rng(1).poisson(3, 72))
    design = design_of(small_panel(table, y=ONE), "y")
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    first = draw_prior(listed, 3, 5, {"y.sd_region": np.array(0.0)})
    again = draw_prior(listed, 3, 5, {"y.sd_region": np.array(0.0)})
    assert (first["y.region"] == 0).all()
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_cutpoints_are_in_order() -> None:
    table = small_table()
    stars = {"family": "ordinal", "categories": list(STARS)}
    design = design_of(small_panel(table, stars=stars), "stars")
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    cuts = draw_prior(listed, 50, 1)["stars.cutpoints"]
    assert cuts.shape == (50, 2)
    assert (np.diff(cuts, axis=1) > 0).all()
    assert "stars.intercept" not in {one.name for one in listed}


def test_default_priors_of_an_identity_link_are_in_sds_of_the_child() -> None:
    table = small_table().assign(y=np.arange(72.0) * 10)
    one = {"family": "normal", "pooling": ["region"]}
    design = design_of(small_panel(table, y=one), "y")
    listed = {
        p.name: p
        for p in parameters(
            design.equation, design.reference, design.group_names, design.period_names
        )
    }
    sd = table["y"].std(ddof=0)
    assert listed["y.sd_region"].priors[0].arguments == pytest.approx((0.5 * sd,))
    assert listed["y.residual_sd"].priors[0].arguments == pytest.approx((sd,))
    assert listed["y.intercept"].priors[0].arguments == pytest.approx((table["y"].mean(), 1.5 * sd))


def test_the_table_of_priors_lists_every_parameter_with_its_meaning() -> None:
    table = small_twin(y=ONE).priors()
    named = {(row.parameter, row.term): row for row in table.itertuples()}
    assert named["y.intercept", ""].prior == "normal(1, 2)"
    assert named["y.causes", "beds"].prior == "uniform(-1, 3)"
    assert named["y.dispersion", ""].of == "1/sqrt(dispersion)"
    assert named["y.sd_period", ""].prior == "half_normal(0.25)"
    assert ("y.sd_slope_region", "staffing") in named or ("y.sd_slope_region", "") in named
    assert (table["meaning"] != "").all()
    # Effects of single groups have no prior of their own.
    assert "y.provider" not in set(table["parameter"])
