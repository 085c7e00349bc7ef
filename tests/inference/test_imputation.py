"""Missing causes as parameters: what the posterior fills in is what the whole data say."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import ConvergenceWarning, SpecificationError
from dotwin.inference import Fit, fit, load_fit
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

LAYOUT = {"unit": "home", "period": {"column": "month", "frequency": "month"}}
HOMES, MONTHS = 40, 6


def _twin(missing: str) -> Twin:
    return Twin(
        twin="gaps",
        panel=LAYOUT,
        indicators={
            "need": {"domain": "demand", "plausible": [-1.6, 1.6]},
            "staff": {
                "domain": "workforce",
                "plausible": [-1.6, 1.6],
                "family": "normal",
                "causes": {"need": {}},
                "missing": missing,
            },
            "falls": {
                "domain": "safeguarding",
                "plausible": [-1.6, 1.6],
                "family": "normal",
                "causes": {"staff": {}, "staff[-1]": {}},
            },
        },
    )


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    """Falls follow this month's and last month's staff, who follow need closely."""
    rng = np.random.default_rng(5)
    need = rng.normal(size=(HOMES, MONTHS))
    staff = 0.9 * need + 0.3 * rng.normal(size=(HOMES, MONTHS))
    before = np.concatenate([staff[:, :1], staff[:, :-1]], axis=1)
    falls = 0.5 * staff - 0.4 * before + 0.7 * rng.normal(size=(HOMES, MONTHS))
    return pd.DataFrame(
        {
            "home": np.repeat([f"h{i:02d}" for i in range(HOMES)], MONTHS),
            "month": np.tile([f"2024-{t + 1:02d}" for t in range(MONTHS)], HOMES),
            "need": need.ravel(),
            "staff": staff.ravel(),
            "falls": falls.ravel(),
        }
    )


@pytest.fixture(scope="module")
def gappy(whole: pd.DataFrame) -> pd.DataFrame:
    """Staff is missing where need is high, more often than not: at random given need."""
    rng = np.random.default_rng(6)
    chance = 1 / (1 + np.exp(-1.5 * whole["need"]))
    return whole.assign(staff=whole["staff"].where(rng.random(len(whole)) > chance))


def _fitted(table: pd.DataFrame, missing: str) -> Fit:
    twin = _twin(missing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            twin, read_panel(table, twin), draws=400, tune=400, chains=2, seed=4, progress=False
        )


@pytest.fixture(scope="module")
def imputed(gappy: pd.DataFrame) -> Fit:
    return _fitted(gappy, "impute")


SLOPES = np.array([0.5, -0.4])


def _slopes(one: Fit) -> tuple[Any, Any, Any]:
    """Means, sds and the sds' Monte Carlo errors of what staff do to falls."""
    table = one.summary(["falls.causes"]).astype(float)
    return tuple(table[column].to_numpy() for column in ("mean", "sd", "mcse_sd"))


def test_imputing_is_nearly_as_good_as_having_the_values(
    imputed: Fit, whole: pd.DataFrame, gappy: pd.DataFrame
) -> None:
    full, full_sd, full_error = _slopes(_fitted(whole, "impute"))
    aside, aside_sd, aside_error = _slopes(_fitted(gappy, "set_aside"))
    ours, ours_sd, ours_error = _slopes(imputed)
    # Rows with both months recorded are few; need tells most of what is missing.
    assert (ours_sd + 3 * ours_error < aside_sd - 3 * aside_error).all()
    assert (ours_sd + 3 * ours_error > full_sd - 3 * full_error).all()
    assert (np.abs(ours - SLOPES) < 3 * ours_sd).all()
    # An estimate from fewer facts differs from the full one by the variance that the gaps added
    # (Hausman 1978, doi 10.2307/1913827), which is known up to Monte Carlo error.
    for estimate, sd, error in ((ours, ours_sd, ours_error), (aside, aside_sd, aside_error)):
        unsure = 6 * np.hypot(sd * error, full_sd * full_error)
        added = np.sqrt(np.maximum(sd**2 - full_sd**2, 0.0) + unsure)
        assert (np.abs(estimate - full) < 3 * added).all()


def test_imputed_values_cover_what_was_hidden(
    imputed: Fit, whole: pd.DataFrame, gappy: pd.DataFrame
) -> None:
    hidden = whole.assign(cell=whole["home"] + ", " + whole["month"]).set_index("cell")["staff"]
    values = imputed.posterior["posterior"]["staff.missing"].stack(sample=("chain", "draw"))
    low, high = values.quantile([0.05, 0.95], "sample").values
    truth = hidden.loc[values["staff.missing_cell"].values.tolist()].to_numpy()
    assert truth.size == int(gappy["staff"].isna().sum())
    held = ((truth >= low) & (truth <= high)).mean()
    # Binomial error of 90 % at the 1 % level.
    assert held == pytest.approx(0.9, abs=2.58 * np.sqrt(0.09 / truth.size))


def test_an_imputed_fit_comes_back_from_disk(imputed: Fit, tmp_path: Any) -> None:
    again = load_fit(imputed.save(tmp_path / "fit"))
    assert again.posterior.identical(imputed.posterior)
    for name, design in imputed.designs.items():
        assert again.designs[name].rows == design.rows
        np.testing.assert_array_equal(again.designs[name].main.columns, design.main.columns)


def test_futures_start_from_imputed_states(imputed: Fit, gappy: pd.DataFrame) -> None:
    futures = imputed.simulate(periods=2, seed=1, draws=100)
    assert futures.draws.sizes["unit"] == HOMES
    assert np.isfinite(futures.draws["falls"].values).all()
    assert gappy[gappy["month"] == "2024-06"]["staff"].isna().any()


def test_rows_with_imputed_causes_have_no_density_of_their_own(imputed: Fit) -> None:
    with pytest.raises(SpecificationError, match="missing values of staff are imputed"):
        imputed.log_likelihood("falls")


def test_a_units_mean_is_that_of_what_is_recorded() -> None:
    from dotwin.inference.components import components_of
    from dotwin.mechanisms.columns import constant_key

    base = _twin("impute").model_dump(mode="json", by_alias=True)
    base["indicators"]["falls"]["pooling"] = ["home"]
    base["indicators"]["falls"]["causes"] = {"staff": {}}
    twin = Twin(**base)
    rng = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "home": np.repeat(["a", "b", "c"], 4),
            "month": np.tile(["2024-01", "2024-02", "2024-03", "2024-04"], 3),
            "need": rng.normal(size=12),
            "staff": [9.0, np.nan, 11.0, np.nan, *rng.normal(size=8)],
            "falls": rng.normal(size=12),
        }
    )
    (component,) = components_of(twin, read_panel(table, twin))
    falls = component.designs[1]
    (within,) = [t for t in falls.main.predictor.terms if t.within]
    centre, sd = falls.reference.factors["staff"]
    assert falls.constants[constant_key("mean", within)][0] == pytest.approx((10.0 - centre) / sd)
    assert falls.rows == 12


# ── counts ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def counted() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Late visits of all visits and whether a manager was in post: whole, and with gaps."""
    rng = np.random.default_rng(15)
    size = (60, 6)
    need = rng.normal(size=size)
    visits = rng.integers(10, 40, size)
    manager = (rng.random(size) < 1 / (1 + np.exp(-0.5 - 0.8 * need))).astype(float)
    late = rng.binomial(visits, 1 / (1 + np.exp(1.2 - 0.8 * need + 0.6 * manager))).astype(float)
    share = np.log((late + 0.5) / (visits - late + 0.5))
    falls = rng.poisson(np.exp(1.0 + 0.5 * (share + 1.2) - 0.5 * manager))
    whole = pd.DataFrame(
        {
            "home": np.repeat([f"h{i:02d}" for i in range(size[0])], size[1]),
            "month": np.tile([f"2024-{t + 1:02d}" for t in range(size[1])], size[0]),
            "need": need.ravel(),
            "visits": visits.ravel(),
            "manager": manager.ravel(),
            "late": late.ravel(),
            "falls": falls.ravel(),
        }
    )
    hidden = rng.random((2, len(whole))) < 0.25
    gaps = whole.assign(
        manager=whole["manager"].where(~hidden[0]), late=whole["late"].where(~hidden[1])
    )
    return whole, gaps


def _counting_twin() -> Twin:
    return Twin(
        twin="counts",
        panel=LAYOUT,
        indicators={
            "need": {"domain": "demand"},
            "visits": {"domain": "demand"},
            "manager": {
                "domain": "workforce",
                "family": "bernoulli",
                "causes": {"need": {}},
                "missing": "impute",
            },
            "late": {
                "domain": "quality",
                "family": "binomial",
                "trials": "visits",
                "causes": {"need": {}, "manager": {}},
                "missing": "impute",
            },
            "falls": {
                "domain": "safeguarding",
                "family": "poisson",
                "causes": {"logit(share(late))": {"scale": "natural"}, "manager": {}},
            },
        },
    )


@pytest.fixture(scope="module")
def counts(counted: tuple[pd.DataFrame, pd.DataFrame]) -> Fit:
    twin = _counting_twin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        panel = read_panel(counted[1], twin)
        return fit(twin, panel, draws=500, tune=400, chains=2, seed=3, progress=False)


def _hidden(counts: Fit, whole: pd.DataFrame, name: str) -> tuple[Any, np.ndarray]:
    """Draws of what is missing, dims (cell, sample), and what was hidden."""
    cells = whole.assign(cell=whole["home"] + ", " + whole["month"]).set_index("cell")[name]
    values = counts.posterior["posterior"][f"{name}.missing"].stack(sample=("chain", "draw"))
    truth = cells.loc[values[f"{name}.missing_cell"].values.tolist()].to_numpy()
    return values.transpose(..., "sample").values, truth


def test_missing_counts_cover_what_was_hidden(
    counts: Fit, counted: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    """The rank of the truth among the draws, ties broken at random, is uniform."""
    draws, truth = _hidden(counts, counted[0], "late")
    assert (draws == np.floor(draws)).all()
    below, same = (draws < truth[:, None]).mean(axis=1), (draws == truth[:, None]).mean(axis=1)
    rank = below + np.random.default_rng(1).random(truth.size) * same
    held = ((rank > 0.05) & (rank < 0.95)).mean()
    # Binomial error of 90 % at the 1 % level.
    assert held == pytest.approx(0.9, abs=2.58 * np.sqrt(0.09 / truth.size))


def test_probabilities_of_missing_yes_or_no_are_frequencies(
    counts: Fit, counted: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    draws, truth = _hidden(counts, counted[0], "manager")
    assert set(np.unique(draws)) == {0.0, 1.0}
    chance = draws.mean(axis=1)
    spread = np.sqrt((chance * (1 - chance)).sum())
    assert truth.sum() == pytest.approx(chance.sum(), abs=2.58 * spread)
    # What is known of the home tells managers from none: better than one chance for all.
    score = np.where(truth == 1, np.log(chance), np.log1p(-chance)).mean()
    overall = counted[0]["manager"].mean()
    assert score > np.where(truth == 1, np.log(overall), np.log1p(-overall)).mean()


def test_effects_of_missing_counts_are_found(counts: Fit) -> None:
    table = counts.summary(["falls.causes"]).astype(float)
    scale = counts.designs["falls"].reference.factors["manager"][1]
    truth = np.array([0.5, -0.5 * scale])
    assert (np.abs(table["mean"].to_numpy() - truth) < 3 * table["sd"].to_numpy()).all()


def test_convergence_is_judged_over_missing_values_too(counts: Fit) -> None:
    checked = set(counts.diagnose().worst["parameter"])
    assert any(name.startswith("late.missing[") for name in checked)
    assert any(name.startswith("manager.missing[") for name in checked)


def test_futures_start_from_missing_counts(counts: Fit) -> None:
    futures = counts.simulate(periods=2, seed=1, draws=50)
    assert np.isfinite(futures.draws["falls"].values).all()


def test_the_pymc_model_has_missing_counts_as_variables(counts: Fit) -> None:
    model = counts.pymc_model("falls")
    point = model.initial_point()
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(point))
    assert {v.name for v in model.free_RVs} > {"late.missing", "manager.missing"}


def test_pymcs_sampler_refuses_missing_counts_in_words(
    counted: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    twin = _counting_twin()
    with pytest.raises(SpecificationError, match="missing counts of manager, late are imputed"):
        fit(twin, read_panel(counted[1], twin), seed=1, engine="pymc", progress=False)
