"""The reference twins: what they promise a reader, and what they say about the data."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dotwin.graph import licence
from dotwin.mechanisms.equation import equation
from dotwin.spec import Cause, Twin, parse, read_twin
from dotwin.spec.support import support_of

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
NAMES = ("workforce_pressure", "nursing_home_quarters", "nursing_home_outcomes")
DATA = Path(os.environ.get("DOTWIN_DATA", ROOT.parent / "shared" / "data")) / "cms_nursing_homes"

realdata = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no nursing-home tables at {DATA}"),
]


def causes(twin: Twin) -> Iterator[tuple[str, str, Cause]]:
    for name, one in twin.indicators.items():
        both = {**one.causes, **(one.zeros.causes if one.zeros else {})}
        for text, cause in both.items():
            yield name, text, cause


def reasons(twin: Twin) -> str:
    """All the words that a reader is to judge the twin by."""
    notes = twin.governance
    return " ".join((twin.purpose, *notes.limitations, *notes.prohibited_uses))


@pytest.fixture(scope="module", params=NAMES)
def twin(request: pytest.FixtureRequest) -> Twin:
    return read_twin(MODELS / f"{request.param}.yaml")


@pytest.fixture(scope="module")
def demo() -> Twin:
    return read_twin(MODELS / "workforce_pressure.yaml")


@pytest.fixture(scope="module")
def quarters() -> Twin:
    return read_twin(MODELS / "nursing_home_quarters.yaml")


@pytest.fixture(scope="module")
def outcomes() -> Twin:
    return read_twin(MODELS / "nursing_home_outcomes.yaml")


@pytest.fixture(scope="module")
def home_quarters() -> pd.DataFrame:
    return pd.read_csv(DATA / "home_quarters.csv.gz", dtype={"ccn": str})


@pytest.fixture(scope="module")
def homes() -> pd.DataFrame:
    return pd.read_csv(DATA / "homes.csv.gz", dtype={"ccn": str})


class TestEveryReferenceTwin:
    def test_is_listed_by_its_file_and_nothing_else_is(self) -> None:
        assert {path.stem for path in MODELS.glob("*.yaml")} == set(NAMES)

    def test_survives_a_round_trip_through_yaml(self, twin: Twin, tmp_path: Path) -> None:
        path = tmp_path / "twin.yaml"
        path.write_text(twin.to_yaml(), encoding="utf-8")
        assert read_twin(path) == twin

    def test_gives_a_reason_for_every_cause(self, twin: Twin) -> None:
        assert [f"{y} < {x}" for y, x, cause in causes(twin) if len(cause.because) < 20] == []

    def test_gives_a_reason_for_every_hidden_cause(self, twin: Twin) -> None:
        assert all(len(hidden.because) > 20 for hidden in twin.hidden_causes.values())

    def test_names_a_year_in_every_piece_of_evidence(self, twin: Twin) -> None:
        cited = [cause.evidence for _, _, cause in causes(twin) if cause.evidence]
        assert all(pd.Series(cited).str.contains(r"\((?:19|20)\d\d\)"))

    def test_says_who_answers_for_it_and_what_it_is_not_for(self, twin: Twin) -> None:
        notes = twin.governance
        assert notes.owner == notes.owner.lower()  # a role, not somebody's name
        assert notes.population
        assert notes.data_sources
        assert notes.approved_uses
        assert notes.limitations
        assert notes.review_every
        assert any("single" in use for use in notes.prohibited_uses)
        assert any("ranking" in use for use in notes.prohibited_uses)

    def test_asks_a_question_with_every_scenario(self, twin: Twin) -> None:
        assert twin.scenarios
        assert all(s.question.endswith("?") for s in twin.scenarios.values())

    def test_says_what_every_threshold_means_and_to_whom(self, twin: Twin) -> None:
        assert twin.thresholds
        assert all(t.meaning and t.escalate_to for t in twin.thresholds.values())

    def test_has_an_equation_for_every_mechanism_that_uses_every_prior_key(
        self, twin: Twin
    ) -> None:
        known = {"intercept", "between", "initial", "season", "trend", "period", "walk"}
        for name in twin.stochastic:
            eq = equation(twin, name)
            own = {one.name for one in eq.family.dispersion} | set(eq.main.levels)
            slopes = {f"slope_{level}" for level in eq.main.slope_levels}
            assert set(twin.indicators[name].priors) <= known | own | slopes

    def test_gives_every_unit_in_words(self, twin: Twin) -> None:
        assert all(one.unit for one in twin.indicators.values())


class TestWorkforcePressure:
    def test_asks_what_three_scenarios_would_bring(self, demo: Twin) -> None:
        assert len(demo.scenarios) == 3

    def test_is_small_enough_to_fit_while_somebody_watches(self, demo: Twin) -> None:
        assert len(demo.stochastic) <= 8
        assert not demo.hidden_causes

    def test_can_be_simulated_without_data(self, demo: Twin) -> None:
        # Without rows, only plausible ranges say what a reference sd is: each cause needs one.
        assert all(demo.indicators[name].simulated_as for name in demo.given)
        for child, text, _ in causes(demo):
            for name in parse(text).names():
                one = demo.indicators[name]
                assert one.plausible is not None, (child, text)
                assert one.exposure is None, (child, text)

    def test_never_runs_away_from_its_past(self, demo: Twin) -> None:
        own = {
            (child, text): cause.prior
            for child, text, cause in causes(demo)
            if (child, 1) in parse(text).refs()
        }
        assert set(own) == {
            ("turnover", "logit(turnover[-1])"),
            ("vacancy_rate", "logit(vacancy_rate[-1])"),
        }
        for prior in own.values():
            assert prior is not None
            mean, sd = prior.arguments
            assert mean + 3 * sd < 1

    def test_draws_given_inputs_within_their_plausible_range(self, demo: Twin) -> None:
        rng = np.random.default_rng(1)
        made = {
            "normal": lambda a, b: rng.normal(a, b, 4000),
            "lognormal": lambda a, b: rng.lognormal(a, b, 4000),
            "gamma": lambda a, b: rng.gamma(a, 1 / b, 4000),
        }
        for name in demo.given:
            one = demo.indicators[name]
            assert one.simulated_as is not None
            assert one.plausible is not None
            draws = made[one.simulated_as.distribution](*one.simulated_as.arguments)
            low, high = one.plausible
            # 90 % should lie within; three Monte Carlo errors of 4,000 draws are 1.4 %, and the
            # ranges are rounded for readers.
            assert 0.86 < np.mean((draws > low) & (draws < high)) < 0.97

    @pytest.mark.parametrize(
        ("cause", "effect"),
        [
            ("vacancy_rate", "missed_visits"),
            ("missed_visits", "hospitalizations"),
            ("turnover", "incidents"),
            ("referrals", "missed_visits"),
            ("travel_minutes", "missed_visits"),
        ],
    )
    def test_answers_its_main_questions_with_a_licence(
        self, demo: Twin, cause: str, effect: str
    ) -> None:
        assert demo.graph.reaches(cause, effect)
        assert licence(demo.graph, cause, effect).licensed

    def test_refuses_to_say_what_pay_would_do(self, demo: Twin) -> None:
        verdict = licence(demo.graph, "wage_gap", "missed_visits")
        assert not verdict.licensed
        assert "not declared" in verdict.reason

    def test_lets_every_scenario_reach_missed_visits(self, demo: Twin) -> None:
        for scenario in demo.scenarios.values():
            changed = {one.indicator for one in scenario.interventions}
            assert any(demo.graph.reaches(name, "missed_visits") for name in changed)


class TestNursingHomeQuarters:
    def test_speaks_of_citations_found(self, quarters: Twin) -> None:
        for name in quarters.indicators:
            if name.endswith("citations"):
                assert quarters.label(name).endswith("found")

    def test_does_not_license_nurse_hours_as_a_cause_of_citations(self, quarters: Twin) -> None:
        verdict = licence(quarters.graph, "rn_hprd", "citations", natural=["rn_hprd"])
        assert not verdict.licensed
        assert "case mix" in verdict.reason
        assert "management quality" in verdict.reason

    def test_runs_from_hours_to_findings_to_fines_and_back(self, quarters: Twin) -> None:
        graph = quarters.graph
        assert {"rn_hprd", "citing_surveys"} <= set(graph.parents("citations"))
        assert {"harm_citations", "jeopardy_citations"} <= set(graph.parents("fines"))
        assert "fines" in graph.parents("rn_hprd")
        assert graph.feedback("rn_hprd", "fines")

    def test_asks_about_the_floor_of_the_federal_rule(self, quarters: Twin) -> None:
        (scenario,) = quarters.scenarios.values()
        assert [str(one) for one in scenario.interventions] == ["at_least(rn_hprd, 0.55)"]
        assert "89 FR 40876" in scenario.question
        assert "90 FR 55687" in reasons(quarters)

    def test_pools_by_home_only_where_homes_have_enough_to_pool(self, quarters: Twin) -> None:
        pooled = {n for n in quarters.stochastic if "home" in quarters.indicators[n].pooling}
        assert pooled == {"citing_surveys"}

    def test_admits_what_the_table_cannot_show(self, quarters: Twin) -> None:
        for words in ("574 homes", "clean inspection", "not identified", "extrapolates"):
            assert words in reasons(quarters)


class TestNursingHomeOutcomes:
    def test_is_a_cross_section_of_four_domains(self, outcomes: Twin) -> None:
        assert outcomes.panel.period is None
        domains = {outcomes.indicators[name].domain for name in outcomes.stochastic}
        assert domains == {"workforce", "quality", "safeguarding", "utilization"}

    def test_draws_no_arrow_from_citations_to_hospital_use(self, outcomes: Twin) -> None:
        for cause in ("citations", "harm_citations", "jeopardy_citations"):
            reached = outcomes.graph.descendants(cause)
            assert not {n for n in reached if outcomes.indicators[n].domain == "utilization"}

    def test_does_not_use_the_star_rating(self, outcomes: Twin) -> None:
        assert "overall_rating" not in outcomes.indicators

    def test_pools_no_home_because_each_has_one_row(self, outcomes: Twin) -> None:
        assert all("home" not in one.pooling for one in outcomes.indicators.values())

    @pytest.mark.parametrize("cause", ["nurse_turnover_pct", "rn_hprd"])
    def test_licenses_no_effect_of_the_workforce(self, outcomes: Twin, cause: str) -> None:
        for effect in outcomes.graph.descendants(cause) - {cause}:
            if effect in outcomes.stochastic:
                assert not licence(outcomes.graph, cause, effect).licensed

    def test_says_that_time_order_supports_no_effect(self, outcomes: Twin) -> None:
        assert "time order does not support an effect" in outcomes.purpose
        assert any("three years" in text for text in outcomes.governance.limitations)

    @pytest.mark.parametrize("kind", ["hosp", "ed"])
    def test_takes_the_expected_rate_at_its_word_but_not_exactly(
        self, outcomes: Twin, kind: str
    ) -> None:
        use = outcomes.indicators[f"long_stay_{kind}_per_1000_days"]
        cause = use.causes[f"log(long_stay_{kind}_expected)"]
        assert cause.scale == "natural"
        assert str(cause.prior) == "normal(1, 0.2)"


class TestWhatTheTwinsSayOfTheirTables:
    """Facts in descriptions, limitations and the guide, read off the tables themselves."""

    pytestmark = realdata

    def test_columns_and_values_are_those_that_the_mechanisms_can_make(
        self, quarters: Twin, outcomes: Twin, home_quarters: pd.DataFrame, homes: pd.DataFrame
    ) -> None:
        for twin, table in ((quarters, home_quarters), (outcomes, homes)):
            for name, one in twin.indicators.items():
                values = table[one.column or name].dropna()
                trials = None if one.trials is None else table.loc[values.index, one.trials]
                inside = support_of(one).contains(values, trials)
                assert inside.all(), (name, values[~inside].head().tolist())

    def test_homes_quarters_and_states_are_as_many_as_said(
        self, home_quarters: pd.DataFrame
    ) -> None:
        table = home_quarters
        assert (len(table), table.ccn.nunique(), table.state.nunique()) == (25_716, 5_584, 40)
        first = table.groupby("ccn").quarter.min()
        assert (first >= "2025Q1").sum() == 574

    def test_serious_citations_are_among_the_citations(
        self, home_quarters: pd.DataFrame, homes: pd.DataFrame
    ) -> None:
        for table in (home_quarters, homes):
            serious = table.harm_citations + table.jeopardy_citations
            assert (serious <= table.citations).all()
        assert (home_quarters.abuse_neglect_citations <= home_quarters.citations).all()

    def test_every_citing_inspection_has_a_citation_and_no_other_row_has(
        self, home_quarters: pd.DataFrame
    ) -> None:
        table = home_quarters
        assert (table.citations >= table.citing_surveys).all()
        assert ((table.citations > 0) == (table.citing_surveys > 0)).all()

    def test_a_few_homes_report_no_registered_nurse_and_most_lie_below_the_floor(
        self, home_quarters: pd.DataFrame
    ) -> None:
        hours = home_quarters.rn_hprd
        assert 0.005 < (hours == 0).mean() < 0.007
        assert 0.68 < (hours < 0.55).mean() < 0.71

    def test_fines_of_the_last_quarter_are_not_all_in_yet(
        self, home_quarters: pd.DataFrame
    ) -> None:
        serious = home_quarters[home_quarters.harm_citations + home_quarters.jeopardy_citations > 0]
        rate = serious.groupby("quarter").fines.mean()
        assert 0.6 < rate["2025Q2"] / rate.drop("2025Q2").mean() < 0.75

    def test_fines_come_with_serious_citations(self, home_quarters: pd.DataFrame) -> None:
        table = home_quarters
        serious = (table.harm_citations + table.jeopardy_citations) > 0
        assert (table.fines[serious] > 0).mean() > 0.7
        assert (table.fines[~serious] > 0).mean() < 0.015

    def test_the_same_home_is_not_cited_alike_twice_in_a_row(
        self, home_quarters: pd.DataFrame
    ) -> None:
        # Full inspections with many findings alternate with complaint inspections with few.
        one = home_quarters[home_quarters.citing_surveys == 1].copy()
        one["log"] = np.log(one.citations)
        one["log"] -= one.groupby("state")["log"].transform("mean")
        pairs = one.merge(one, on="ccn")
        pairs = pairs[pairs.quarter_x < pairs.quarter_y]
        assert np.corrcoef(pairs.log_x, pairs.log_y)[0, 1] < -0.1

    def test_student_t_intervals_of_nurse_hours_hold_what_they_say_and_lognormal_ones_do_not(
        self, home_quarters: pd.DataFrame
    ) -> None:
        wide = home_quarters.pivot(index="ccn", columns="quarter", values="rn_hprd").dropna()
        wide = wide[(wide > 0).all(axis=1)]

        def residuals(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
            """Fit on 2025Q1, judge on 2025Q2; hours given the quarter before and the first one."""

            def design(last: str) -> np.ndarray:
                return np.column_stack([np.ones(len(table)), table[last], table["2024Q2"]])

            slopes = np.linalg.lstsq(design("2024Q4"), table["2025Q1"], rcond=None)[0]
            fitted = table["2025Q1"] - design("2024Q4") @ slopes
            return fitted.to_numpy(), (table["2025Q2"] - design("2025Q1") @ slopes).to_numpy()

        fitted, judged = residuals(wide)
        nu, centre, scale = stats.t.fit(fitted)
        inside = np.abs(judged - centre) < stats.t.ppf(0.9, nu) * scale
        assert 0.76 < inside.mean() < 0.84
        assert nu < 4
        fitted, judged = residuals(np.log(wide))
        assert (np.abs(judged) < stats.norm.ppf(0.9) * fitted.std()).mean() > 0.86

    def test_empty_cells_are_as_many_as_said(self, homes: pd.DataFrame) -> None:
        missing = homes.isna().mean()
        assert round(missing["nurse_turnover_pct"], 2) == 0.08
        assert round(missing["short_stay_rehosp_pct"], 2) == 0.19
        assert round(missing["long_stay_hosp_per_1000_days"], 2) == 0.24
        unknown = homes.nurse_turnover_pct.isna()
        assert homes.beds[unknown].mean() < homes.beds[~unknown].mean()
        assert homes.overall_rating[unknown].mean() < homes.overall_rating[~unknown].mean()
        assert len(homes) == 11_561
        assert homes.state.nunique() == 52

    def test_almost_half_of_the_homes_use_no_agency(self, homes: pd.DataFrame) -> None:
        assert 0.45 < (homes.agency_hours_pct.dropna() == 0).mean() < 0.5
