"""The graph and the missing values decide what is fitted together, and what is fitted anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import SpecificationError
from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.inference.schedule import component_seed, content_hash, run
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin
from tests.inference.conftest import INDICATORS, LAYOUT, simulated_table, twin_with

SETTINGS = Settings(10, 10, 2, 1)


def members(twin: Twin, table: pd.DataFrame) -> list[list[str]]:
    return [[d.child for d in c.designs] for c in components_of(twin, read_panel(table, twin))]


def hashes(twin: Twin, table: pd.DataFrame, settings: Settings = SETTINGS) -> dict[str, str]:
    found = components_of(twin, read_panel(table, twin))
    return {c.name: content_hash(c, settings, "nuts") for c in found}


def test_observed_mechanisms_are_fitted_alone(small_table: pd.DataFrame) -> None:
    assert members(twin_with(), small_table) == [["vacancy"], ["missed"], ["incidents"]]


def test_a_hidden_cause_does_not_join_mechanisms(small_table: pd.DataFrame) -> None:
    hidden = {"management": {"affects": ["vacancy", "missed"], "level": "provider"}}
    twin = Twin(twin="small", panel=LAYOUT, indicators=INDICATORS, hidden_causes=hidden)
    assert members(twin, small_table) == [["vacancy"], ["missed"], ["incidents"]]


def test_an_imputed_cause_joins_its_mechanism_and_those_that_read_it() -> None:
    table = simulated_table()
    table.loc[[30, 80, 100], "vacancy"] = np.nan
    twin = twin_with(vacancy={"missing": "impute"})
    assert members(twin, table) == [["vacancy", "missed"], ["incidents"]]
    assert members(twin_with(), table) == [["vacancy"], ["missed"], ["incidents"]]


def test_without_a_missing_value_nothing_is_joined(small_table: pd.DataFrame) -> None:
    twin = twin_with(vacancy={"missing": "impute"})
    assert members(twin, small_table) == [["vacancy"], ["missed"], ["incidents"]]


def test_imputing_uses_rows_that_are_set_aside_otherwise() -> None:
    table = simulated_table()
    table.loc[[30, 80, 100], "vacancy"] = np.nan
    aside = components_of(twin_with(), read_panel(table, twin_with()))
    twin = twin_with(vacancy={"missing": "impute"})
    imputed = components_of(twin, read_panel(table, twin))
    (joint,) = [c for c in imputed if len(c.designs) == 2]
    assert joint.imputation is not None
    assert joint.imputation.names("vacancy") == ["p04, 2024-05", "p06, 2024-02", "p08, 2024-04"]
    # A missing vacancy is the outcome of one row, the cause of the next and of one of missed.
    assert joint.designs[0].rows == aside[0].designs[0].rows + 6
    assert joint.designs[1].rows == aside[1].designs[0].rows + 3


def test_a_first_value_before_the_fitted_rows_is_not_imputed() -> None:
    table = simulated_table()
    table.loc[[0], "vacancy"] = np.nan
    twin = twin_with(vacancy={"missing": "impute"})
    found = components_of(twin, read_panel(table, twin))
    assert all(component.imputation is None for component in found)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("incidents", {"zeros": "hurdle"}, "this is poisson with values of their own"),
        ("vacancy", {"ends": [0]}, "this is beta with values of their own"),
        ("wage_gap", {}, "this is a given"),
    ],
)
def test_what_cannot_be_imputed_is_refused_in_words(
    name: str, fields: dict[str, Any], words: str
) -> None:
    table = simulated_table()
    table[name] = table[name].where(np.arange(len(table)) % 50 != 30)
    twin = twin_with(**{name: {"missing": "impute", **fields}})
    with pytest.raises(SpecificationError, match=words) as error:
        components_of(twin, read_panel(table, twin))
    assert "set_aside" in str(error.value)


def test_a_comparison_of_imputed_values_is_refused() -> None:
    table = simulated_table()
    table.loc[[30], "vacancy"] = np.nan
    causes = {"causes": {"vacancy > 0.2": {}}}
    twin = twin_with(vacancy={"missing": "impute"}, missed=causes)
    with pytest.raises(SpecificationError, match="compares values of 'vacancy'"):
        components_of(twin, read_panel(table, twin))


@pytest.mark.parametrize(
    ("name", "child", "cause", "end"),
    [
        ("incidents", "vacancy", "log(incidents[-1])", "0"),
        ("missed", "incidents", "log(visits - missed)", "all of its trials"),
    ],
)
def test_a_reading_that_a_missing_count_may_not_have_is_refused(
    name: str, child: str, cause: str, end: str
) -> None:
    table = simulated_table()
    table["incidents"] = table["incidents"].clip(lower=1)
    table[name] = table[name].astype(float)
    table.loc[[30, 75], name] = np.nan
    twin = twin_with(**{name: {"missing": "impute"}, child: {"causes": {cause: {}}}})
    with pytest.raises(SpecificationError, match=f"is undefined where '{name}' is {end}") as error:
        components_of(twin, read_panel(table, twin))
    assert f"log1p({name})" in str(error.value)


def test_missing_trials_of_a_share_that_is_read_are_refused() -> None:
    table = simulated_table()
    table["visits"] = table["visits"].astype(float)
    table.loc[[30], "visits"] = np.nan
    visits = {"family": "poisson", "missing": "impute", "causes": {"wage_gap": {}}}
    twin = twin_with(visits=visits)
    with pytest.raises(SpecificationError, match="whose trials 'visits' have missing values"):
        components_of(twin, read_panel(table, twin))


# ── content hashes and the cache ─────────────────────────────────────────────────────────────────


def test_a_prior_changes_the_hash_of_its_own_mechanism_only(small_table: pd.DataFrame) -> None:
    changed = twin_with(missed={"priors": {"intercept": "normal(-2, 1)"}})
    before, after = hashes(twin_with(), small_table), hashes(changed, small_table)
    assert {name for name in before if before[name] != after[name]} == {"missed"}


def test_an_edge_changes_the_hash_of_its_child_only(small_table: pd.DataFrame) -> None:
    changed = twin_with(incidents={"causes": {"logit(share(missed))": {}, "wage_gap": {}}})
    before, after = hashes(twin_with(), small_table), hashes(changed, small_table)
    assert {name for name in before if before[name] != after[name]} == {"incidents"}


def test_a_value_changes_the_hash_of_the_mechanisms_that_read_it(small_table: pd.DataFrame) -> None:
    table = small_table.copy()
    table.loc[200, "incidents"] += 1
    before, after = hashes(twin_with(), small_table), hashes(twin_with(), table)
    assert {name for name in before if before[name] != after[name]} == {"incidents"}


def test_settings_and_engine_change_every_hash(small_panel: Panel) -> None:
    found = components_of(small_panel.twin, small_panel)
    for component in found:
        several = {
            content_hash(component, settings, engine)
            for settings in (SETTINGS, Settings(10, 10, 2, 2), Settings(11, 10, 2, 1))
            for engine in ("nuts", "pymc")
        }
        assert len(several) == 6


def test_a_components_seed_depends_on_its_name_and_not_on_its_neighbours(
    small_panel: Panel,
) -> None:
    found = components_of(small_panel.twin, small_panel)
    assert len({component_seed(1, c) for c in found}) == 3
    assert component_seed(1, found[0]) != component_seed(2, found[0])


class PriorEngine:
    """Draws from the prior, and counts how often it is asked."""

    name = "prior"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def refusal(self, component: Component) -> str | None:
        return None

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        self.asked.append(component.name)
        (d,) = component.designs
        listed = parameters(d.equation, d.reference, d.group_names, d.period_names)
        drawn = draw_prior(listed, settings.chains * settings.draws, settings.seed)
        shape = (settings.chains, settings.draws)
        return Draws(
            {n: v.reshape(*shape, *v.shape[1:]) for n, v in drawn.items()}, {}, "prior", 1.0
        )


def test_only_what_changed_is_drawn_anew(small_table: pd.DataFrame, tmp_path: Path) -> None:
    engine = PriorEngine()

    def draw(twin: Twin, settings: Settings = SETTINGS) -> list[Draws]:
        found = components_of(twin, read_panel(small_table, twin))
        return run(found, [engine], settings, cache=tmp_path / "cache", progress=False)

    first, again = draw(twin_with()), draw(twin_with())
    assert sorted(engine.asked) == ["incidents", "missed", "vacancy"]
    for one, other in zip(first, again, strict=True):
        assert one.engine == other.engine
        for name, values in one.posterior.items():
            np.testing.assert_array_equal(values, other.posterior[name])
    engine.asked.clear()
    draw(twin_with(vacancy={"priors": {"provider": "half_normal(1)"}}))
    assert engine.asked == ["vacancy"]
    engine.asked.clear()
    draw(twin_with(), Settings(10, 10, 2, 7))
    assert len(engine.asked) == 3


def test_a_cut_off_cache_file_is_drawn_anew(small_table: pd.DataFrame, tmp_path: Path) -> None:
    engine = PriorEngine()
    found = components_of(twin_with(), read_panel(small_table, twin_with()))
    first = run(found, [engine], SETTINGS, cache=tmp_path, progress=False)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-100])
    again = run(found, [engine], SETTINGS, cache=tmp_path, progress=False)
    assert len(engine.asked) == 6
    np.testing.assert_array_equal(
        first[0].posterior["vacancy.causes"], again[0].posterior["vacancy.causes"]
    )
