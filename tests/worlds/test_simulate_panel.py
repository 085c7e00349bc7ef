"""Made-up panels: their truth is the posterior's, in the fit's own terms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms.response import row_predictor
from dotwin.spec import Twin, read_twin

MONTHS = {"column": "month", "frequency": "month"}


@pytest.fixture(scope="module")
def loose() -> Twin:
    """Hardly a plausible range, so references come from the rows; interactions and feedback."""
    return Twin(
        twin="loose",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "wage": {"domain": "workforce", "simulated_as": "normal(2, 3)"},
            "type": {"domain": "context", "categories": ["public", "private", "other"]},
            "chain": {"domain": "context", "unit": "1 in a chain, 0 on its own"},
            "staff": {
                "domain": "workforce",
                "family": "normal",
                "plausible": [2, 6],
                "pooling": ["region", "home", "period"],
                "season": {"cycle": 12},
                "causes": {
                    "staff[-1]": {"prior": "normal(0.4, 0.1)"},
                    "wage": {},
                    "type": {},
                    "wage * chain": {},
                    "chain": {},
                },
                "priors": {"residual_sd": "half_normal(0.3)"},
            },
            "falls": {
                "domain": "outcome",
                "family": "negative_binomial",
                "plausible": [2, 9],
                "pooling": ["home"],
                "causes": {"staff": {}, "log1p(falls[-1])": {"prior": "normal(0.2, 0.05)"}},
                "priors": {"dispersion": "half_normal(0.3)"},
            },
        },
        hidden_causes={"management": {"affects": ["staff", "falls"], "level": "home"}},
    )


@pytest.fixture(scope="module")
def panel(loose: Twin):
    return loose.simulate_panel(units={"region": 4, "home": 25}, periods=14, seed=2)


def test_a_panel_is_reproducible_and_has_the_shape_asked_for(loose: Twin, panel) -> None:
    again = loose.simulate_panel(units={"region": 4, "home": 25}, periods=14, seed=2)
    assert again.digest == panel.digest
    other = loose.simulate_panel(units={"region": 4, "home": 25}, periods=14, seed=5)
    assert other.digest != panel.digest
    assert panel.values("falls").shape == (25, 14)
    assert panel.units[0] == "home-01"
    codes, names = panel.groups("region")
    assert names == ["region-01", "region-02", "region-03", "region-04"]
    assert set(np.bincount(codes)) <= {6, 7}
    assert panel.data["present"].all()


def test_the_truth_has_the_posteriors_names_and_dims(loose: Twin, panel) -> None:
    truth = {n: v for n, v in panel.truth.items() if "." in n and not n.endswith(".loading")}
    fit = Fit.from_parameters(loose, panel, truth)
    posterior = fit.posterior["posterior"]
    assert set(truth) == set(posterior.data_vars)
    for name, values in truth.items():
        assert values.dims == posterior[name].dims[2:], name
        for dim in values.dims:
            assert values[dim].values.tolist() == posterior[name][dim].values.tolist()


def test_the_panel_is_what_its_truth_says_row_by_row(loose: Twin, panel) -> None:
    """In the fit's own design, references from the rows and all, the residuals are pure noise."""
    truth = {n: v for n, v in panel.truth.items() if "." in n and not n.endswith(".loading")}
    fit = Fit.from_parameters(loose, panel, truth)
    parameters = fit.draws().values
    management = panel.truth["management"].values
    size = panel.truth["management.loading"].item()
    for name, design in fit.designs.items():
        eta = row_predictor(design.equation.main, design, parameters)[0]
        eta = eta + size * design.reference.multiplier * management[design.unit]
        extra = {
            one.name: parameters[f"{name}.{one.name}"][0]
            for one in design.equation.family.dispersion
        }
        family = design.equation.family
        v = family.abduct(design.y, eta, extra, jitter=np.random.default_rng(0).random(eta.shape))
        uniform = np.where(v > 0, v, 1 + v)
        assert stats.kstest(uniform, "uniform").pvalue > 1e-3, name
        # The quantile at that noise is the value itself: the predictor is exact, not just close.
        assert abs(np.corrcoef(uniform, eta)[0, 1]) < 4 / np.sqrt(eta.size), name


def test_a_hidden_cause_confounds_and_without_loading_it_does_not(loose: Twin) -> None:
    sizes = {}
    for loading in (0.0, 2.0):
        panel = loose.simulate_panel(
            units={"region": 4, "home": 60},
            periods=14,
            seed=2,
            parameters={
                "management.loading": loading, "staff.sd_home": 0.01, "falls.sd_home": 0.01,
                "falls.causes": np.zeros(4), "staff.sd_region": 0.01,
            },
        )  # fmt: skip
        means = [panel.values(n).mean(axis=1) for n in ("staff", "falls")]
        management = panel.truth["management"].values
        sizes[loading] = [np.corrcoef(m, management)[0, 1] for m in means]
    assert np.abs(sizes[0.0]).max() < 4 / np.sqrt(60)
    assert min(sizes[2.0]) > 4 / np.sqrt(60)


def test_fixed_parameters_are_kept(loose: Twin) -> None:
    effects = np.linspace(-1, 1, 25)
    panel = loose.simulate_panel(
        units={"region": 4, "home": 25},
        periods=10,
        seed=2,
        parameters={"falls.home": effects, "falls.dispersion": 9.0},
    )
    np.testing.assert_array_equal(panel.truth["falls.home"], effects)
    assert panel.truth["falls.dispersion"] == 9.0


def test_parameters_that_explode_and_names_that_are_unknown_are_refused(loose: Twin) -> None:
    units = {"region": 2, "home": 4}
    with pytest.raises(SpecificationError, match=r"Did you mean 'falls\.dispersion'"):
        loose.simulate_panel(units=units, periods=5, seed=1, parameters={"falls.disperson": 1.0})
    with pytest.raises(SpecificationError, match="persistences below 1"):
        loose.simulate_panel(
            units=units,
            periods=5,
            seed=1,
            parameters={"staff.causes": [3.0, *[0.0] * 10]},
        )
    with pytest.raises(SpecificationError, match=r"shape \(2,\); .*staff\[-1\]"):
        loose.simulate_panel(
            units=units, periods=5, seed=1, parameters={"staff.causes": [3.0, 1.0]}
        )


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"home": 4}, "how many regions"),
        ({"region": 2, "home": 4, "town": 1}, "no level"),
        ({"region": 5, "home": 4}, "more regions than homes"),
        ({"region": 0, "home": 4}, "1 or more"),
    ],
)
def test_units_that_make_no_sense_are_refused(loose: Twin, units, words) -> None:
    with pytest.raises(SpecificationError, match=words):
        loose.simulate_panel(units=units, periods=5, seed=1)


def test_a_given_that_cannot_be_drawn_is_named() -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "beds": {"domain": "context"},
            "falls": {"domain": "outcome", "family": "poisson", "causes": {"beds": {}}},
        },
    )
    with pytest.raises(SpecificationError, match=r"beds.*simulated_as"):
        twin.simulate_panel(units={"home": 5}, seed=1)


def test_givens_have_their_declared_distribution(loose: Twin) -> None:
    panel = loose.simulate_panel(units={"region": 4, "home": 400}, periods=4, seed=2)
    wage = panel.values("wage")
    assert stats.kstest((wage[:, 0] - 2) / 3, "norm").pvalue > 1e-3
    # Half of the variance is stable within a unit.
    correlation = np.corrcoef(wage[:, 0], wage[:, 3])[0, 1]
    assert correlation == pytest.approx(0.5, abs=4 * 0.75 / np.sqrt(400))
    kinds, counts = np.unique(panel.values("type")[:, 0], return_counts=True)
    assert set(kinds) == {"public", "private", "other"}
    assert stats.chisquare(counts).pvalue > 1e-3
    assert set(np.unique(panel.values("chain"))) == {0.0, 1.0}


def test_a_panel_starts_where_it_stays() -> None:
    """After the run-in, the spread over units at the first period is that of later ones."""
    twin = Twin(
        twin="ar",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "y": {
                "domain": "outcome",
                "family": "normal",
                "plausible": [-2, 2],
                "causes": {"y[-1]": {}},
            }
        },
    )
    panel = twin.simulate_panel(
        units={"home": 2000},
        periods=6,
        seed=1,
        parameters={"y.intercept": 0.5, "y.causes": [0.8], "y.residual_sd": 0.6},
    )
    y = panel.values("y")
    # A stationary AR(1): mean 0.5 / 0.2 and variance 0.36 / (1 - 0.64).
    for t in (0, 5):
        assert y[:, t].mean() == pytest.approx(2.5, abs=4 / np.sqrt(2000))
        assert y[:, t].std() == pytest.approx(1.0, rel=4 / np.sqrt(4000))


def test_first_values_follow_the_truth_unless_their_past_is_another(loose: Twin) -> None:
    def first(past: str, intercept: float) -> np.ndarray:
        panel = loose.simulate_panel(
            units={"region": 2, "home": 10},
            periods=3,
            seed=4,
            parameters={"staff.intercept": intercept},
            past=past,
        )
        return panel.values("staff")[:, 0]

    # A fit takes first values as given: what they say of the truth it would leave out.
    assert np.array_equal(first("prior", 3.5), first("prior", 4.0))
    assert (first("truth", 3.5) < first("truth", 4.0)).all()
    with pytest.raises(SpecificationError, match="no past 'truht'"):
        first("truht", 4.0)


def test_a_share_is_never_so_near_its_whole_that_numbers_cannot_tell() -> None:
    """Next to 1 a double is rounded to 1e-16, and the density there is not: truth would not fit."""
    twin = Twin(
        twin="shares",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "occupancy": {
                "domain": "outcome",
                "family": "beta",
                "priors": {"intercept": "normal(3, 0.1)", "dispersion": "lognormal(0, 0.2)"},
            }
        },
    )
    with pytest.raises(SpecificationError, match="collapses to an end"):
        twin.simulate_panel(units={"home": 50}, periods=20, seed=1)


def test_the_embedded_example_can_be_made_up_and_passes_every_check_of_data() -> None:
    twin = read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 2, "provider": 8}, periods=4, seed=1)
    assert (panel.values("starts") <= panel.values("waiting")).all()
    backlog = panel.values("backlog")
    assert (backlog[:, 0] == 0).all()
    flow = backlog[:, :-1] + panel.values("referrals")[:, 1:] - panel.values("starts")[:, 1:]
    np.testing.assert_array_equal(backlog[:, 1:], np.maximum(flow, 0))


def test_prior_predictive_covers_a_panel_of_its_own_kind() -> None:
    twin = read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 2, "provider": 8}, periods=5, seed=1)
    prior = twin.prior_predictive(panel, draws=30, seed=3)
    assert prior.draws["incidents"].dims == ("draw", "unit", "period")
    assert np.isnan(prior.draws["incidents"].values[:, :, 0]).all()  # a lag reaches before it
    assert np.isfinite(prior.draws["incidents"].values[:, :, 1:]).all()
    table = prior.summary()
    assert table["inside"].mean() > 0.75
    assert "30 made-up panels" in repr(prior)
    again = twin.prior_predictive(panel, draws=30, seed=3)
    np.testing.assert_array_equal(prior.draws["incidents"].values, again.draws["incidents"].values)
