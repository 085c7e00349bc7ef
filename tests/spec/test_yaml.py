"""A YAML file and a Python object are the same twin."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import SpecificationError
from dotwin.spec import (
    Cause,
    Scenario,
    Twin,
    check_file,
    do,
    models,
    read_twin,
    read_yaml,
    shift,
    write_yaml,
)
from dotwin.spec.library import reference_twins

ROOT = Path(__file__).parents[2]

#: Everything that a specification can say, in the short forms that people write.
FULL = """\
# where the pressure is
twin: everything
version: 3
purpose: >
  Where will pressure
  show next?
panel:
  unit: provider
  levels: [country, region]
  period: {column: month, frequency: month}
  columns: {provider: provider_id, region: Region}
indicators:
  wage_gap: {domain: workforce, plausible: [-0.1, 0.3], simulated_as: normal(0.1, 0.1),
    hold: mean(4)}
  policy: {domain: context, assigned: {how: phased, column: rollout},
    unconfounded: it was drawn by lot}
  float_pool: {domain: workforce, level: region, label: Float pool}
  rural: {domain: context, categories: [no, yes], reference: no}   # text in YAML 1.2
  visits: {domain: demand, family: poisson, exposure: wage_gap + 1, pooling: [provider],
    trend: walk}
  vacancy_rate:
    domain: workforce
    unit: share of funded posts
    description: "posts: funded, not filled"
    plausible: [5, 40]
    out_of: 100
    family: beta
    ends: [0]
    pooling: [region, provider, period]
    season: {cycle: 12, harmonics: 2}
    priors: {intercept: normal(-2, 1), dispersion: half_normal(0.5), between: normal(0, 1)}
    causes:
      logit(vacancy_rate[-1] / 100): {prior: normal(0.6, 0.2), scale: natural}
      wage_gap: {because: wages draw staff away, evidence: "doi:10.1000/1", between: same}
      rural:
      mean(vacancy_rate[-1], over=region, others=True):
  missed: {domain: quality, family: beta_binomial, trials: visits, initial: false, missing: impute,
    weight: visits, causes: {log(vacancy_rate): {varying: [region]}, wage_gap: {},
    wage_gap * log(vacancy_rate): {because: both at once}}}
  severity:
    domain: safeguarding
    family: ordinal
    categories: [none, harm, jeopardy]
    priors: {cutpoints: normal(0, 2)}
  fines:
    domain: cost
    family: lognormal
    link: log
    zeros:
      {as: hurdle, causes: {log1p(missed): }, pooling: [region], priors: {region: half_normal(1)}}
    when: visits > 0 and rural == 'no'
    otherwise: 0
  found: {domain: quality, family: negative_binomial, at_least: rare, zeros: hurdle}
  hours: {domain: workforce, family: student_t, at_least: 0.5}
  rare: {domain: quality}
  backlog:
    {domain: capacity, equals: "max(0, backlog[-1] + visits - missed)", column: waiting,
     residual: keep, because: accounting}
hidden_causes:
  management: {affects: [vacancy_rate, missed], level: provider, because: managers differ,
    label: Management}
thresholds:
  continuity: {of: missed / visits, above: 0.05, meaning: continuity is failing,
    escalate_to: manager}
  staffing: {of: vacancy_rate, below: 1e-3}
scenarios:
  a surge:
    question: What if?
    interventions: ["scale(visits, 1.15, over=8)", shift(wage_gap, -0.02, where='rural == "no"')]
governance: {owner: the board, population: adults, data_sources: [visits],
  approved_uses: [planning],
  prohibited_uses: [pay], limitations: [small], review_every: 90 days}
"""


@pytest.fixture(scope="module")
def full() -> Twin:
    return read_yaml(FULL)


def test_short_forms_mean_what_they_say(full: Twin) -> None:
    one = full.indicators
    assert full.purpose == "Where will pressure show next?\n"
    assert one["rural"].categories == ("no", "yes")
    assert str(one["wage_gap"].simulated_as) == "normal(0.1, 0.1)"
    assert one["vacancy_rate"].causes["rural"] == Cause()
    assert "mean(vacancy_rate[-1], over=region, others=True)" in one["vacancy_rate"].causes
    assert one["found"].zeros is not None
    assert one["found"].zeros.kind == "hurdle"
    assert full.scenarios["a surge"].interventions[1] == shift(
        "wage_gap", -0.02, where='rural == "no"'
    )
    assert one["missed"].initial is False


def test_a_twin_written_and_read_is_the_same_twin(full: Twin) -> None:
    text = write_yaml(full)
    assert read_yaml(text) == full
    assert write_yaml(read_yaml(text)) == text
    assert full.to_yaml() == text


def test_what_is_written_again_changes_nothing_but_what_a_default_says(full: Twin) -> None:
    assert "version: 3" in write_yaml(full)
    assert "missing: set_aside" not in write_yaml(full)
    assert "start: 0\n" in write_yaml(
        read_yaml(FULL.replace("column: waiting,\n     residual: keep", "start: 0.0"))
    )


characters = st.characters(exclude_categories=["Cs"])
sentences = st.lists(st.sampled_from(["a", "long", "sentence:", "- with", "#", "\n", "'\""])).map(
    " ".join
)


@settings(max_examples=150, deadline=None)
@given(
    st.text(characters, max_size=40) | sentences,
    st.lists(st.text(characters, min_size=1), max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_words_and_numbers_survive_the_file(text: str, items: list[str], number: float) -> None:
    twin = Twin(
        twin="t",
        purpose=text,
        panel={"unit": "home", "columns": {"home": text}},
        indicators={
            "a": {"domain": "cost", "label": text, "categories": tuple(dict.fromkeys(items))},
            "b": {
                "domain": "cost",
                "family": "normal",
                "causes": {"c": {"because": text, "evidence": text}},
            },
            "c": {"domain": "cost", "unit": text},
        },
        thresholds={"line": {"of": "b", "above": number, "meaning": text}},
        scenarios=[Scenario("s " + text, do("b", number), question=text)],
        governance={"owner": text, "approved_uses": items},
    )
    assert read_yaml(write_yaml(twin)) == twin


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "null", "~", "1", "1.5", "true", "2025-01-01"]
)
def test_words_that_look_like_something_else_stay_words(word: str) -> None:
    twin = Twin(
        twin=word, panel={"unit": "home"}, indicators={"a": {"domain": "cost", "label": word}}
    )
    again = read_yaml(write_yaml(twin))
    assert again.twin == word
    assert again.indicators["a"].label == word


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "y", "N", "2025-01-01", "12:30:45"])
def test_yaml_1_2_keeps_old_booleans_dates_and_times_as_text(word: str) -> None:
    text = f"twin: {word}\npanel: {{unit: home}}\nindicators: {{no: {{domain: cost}}}}\n"
    assert read_yaml(text).twin == word
    assert read_yaml(f"%YAML 1.2\n---\n{text}").twin == word
    assert list(read_yaml(text).indicators) == ["no"]


def test_an_older_yaml_is_refused_rather_than_read_otherwise() -> None:
    with pytest.raises(SpecificationError, match=r"^line 1: a twin is YAML 1\.2"):
        read_yaml("%YAML 1.1\n---\ntwin: no\n")


def test_shared_parts_may_be_written_once() -> None:
    twin = read_yaml(
        "twin: t\npanel: {unit: home}\nindicators:\n"
        "  a: &common {domain: cost, unit: USD, label: A}\n"
        "  b: {<<: *common, label: B}\n"
    )
    assert twin.indicators["b"].unit == "USD"
    assert twin.indicators["b"].label == "B"


def test_a_file_is_read_by_path_and_checked_without_raising(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(FULL, encoding="utf-8")
    bad.write_bytes(b"\xef\xbb\xbf" + FULL.replace("family: beta\n", "family: bta\n").encode())
    assert read_twin(str(good)) == read_twin(good)
    assert check_file(good) == []
    (problem,) = check_file(bad)
    assert "'beta'" in problem.what
    assert problem.line == 1 + FULL[: FULL.index("family: beta\n")].count("\n")
    with pytest.raises(
        SpecificationError, match=r"^bad\.yaml: line \d+, indicators > vacancy_rate"
    ):
        read_twin(bad)


def test_a_file_in_another_encoding_says_so(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("twin: café\n".encode("latin-1"))
    with pytest.raises(SpecificationError, match="UTF-8"):
        read_twin(path)


def test_reference_twins_are_read_by_name_and_listed() -> None:
    listed = models()
    assert set(listed.index) == {path.stem for path in (ROOT / "models").glob("*.yaml")}
    for name, path in reference_twins().items():
        assert read_twin(name) == read_twin(path)
        assert listed.loc[name, "purpose"]
        twin = read_twin(name)
        assert read_yaml(write_yaml(twin)) == twin


def test_a_twin_that_is_nowhere_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Did you mean 'workforce_pressure'"):
        read_twin("workforce_presure")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_twin(tmp_path)


# ── immutable data ───────────────────────────────────────────────────────────────────────────────


def test_a_twin_introduces_itself_in_a_sentence(full: Twin) -> None:
    assert repr(full) == str(full)
    assert repr(full) == (
        "Twin 'everything': 13 indicators (5 given, 7 with a mechanism, 1 by accounting) "
        "per provider and month"
    )


def test_a_twin_cannot_be_changed(full: Twin) -> None:
    anything: Any = full
    with pytest.raises(ValueError, match="frozen"):
        anything.twin = "other"
    with pytest.raises(TypeError, match="immutable"):
        anything.indicators["new"] = full.indicators["rare"]
    with pytest.raises(TypeError, match="immutable"):
        anything.indicators["missed"].causes.clear()


def test_equal_twins_hash_alike_and_survive_pickle_and_copy(full: Twin) -> None:
    again = read_yaml(FULL)
    assert hash(again) == hash(full)
    assert pickle.loads(pickle.dumps(full)) == full
    assert copy.deepcopy(full) == full
    assert hash(read_yaml(FULL.replace("version: 3", "version: 4"))) != hash(full)


def test_a_twin_built_in_python_is_the_twin_of_its_file(full: Twin) -> None:
    assert Twin(**full.model_dump(by_alias=True)) == full
    assert Twin.model_validate(full.model_dump()) == full
