"""A report shows the answers that it is given, each with its licence, and none of another fit."""

import json
from pathlib import Path

import pytest

import dotwin as dw
from dotwin.effects.examples import small_pilot
from dotwin.errors import SpecificationError
from dotwin.reports.effects import CausalAnswer
from tests.reports.examples import small_fit
from tests.reports.test_report import Page, words


@pytest.fixture(scope="module")
def answers() -> tuple[CausalAnswer, ...]:
    fit = small_fit(False)
    return (
        fit.effect("pay", on="missed", horizon=3, seed=1, draws=30),
        fit.counterfactual(dw.do("pay", 14), on="missed", seed=1, draws=30),
        fit.mediation("pay", on="missed", through="vacancy", periods=2, seed=1, draws=30),
        fit.attribute("missed", before="2020-04", after="2020-10", seed=1, draws=30),
        fit.influence("missed", seed=1, draws=30, replicates=4),
    )


@pytest.fixture(scope="module")
def page(answers: tuple[CausalAnswer, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("effects")
    return dw.report(small_fit(False), path=folder / "report.html", effects=answers)


def test_first_page_says_each_answer_with_its_licence(
    page: Path, answers: tuple[CausalAnswer, ...]
) -> None:
    read = Page(page.read_text(encoding="utf-8"))
    front = words(read.front)
    for one in answers:
        sentence = words([repr(one)]).replace(" -", " −").replace("(-", "(−")
        assert sentence in front
    assert front.count("identified:") == len(answers)
    assert {f"effect-{number}" for number in range(1, 6)} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_numbers_are_those_of_the_answers(page: Path, answers: tuple[CausalAnswer, ...]) -> None:
    content = json.loads(page.with_name("summary.json").read_text(encoding="utf-8"))
    for said, one in zip(content["effects"], answers, strict=True):
        table = one.summary()
        place = said["table"]["columns"].index("mean")
        shown = [row[place] for row in said["table"]["rows"]]
        assert shown == pytest.approx(table["mean"].tolist(), rel=1e-5)
        assert "90 %" in said["table"]["interval"]
        assert said["licence"]["identified"]["status"] == one.licence.identified.status
    assert content["effects"][-1]["meaning"] == "shares of variation, not effects"


def test_one_case_in_two_worlds_asks_for_a_belief(
    page: Path, answers: tuple[CausalAnswer, ...], tmp_path: Path
) -> None:
    claim = "in the world that did not happen"
    assert claim in words(Page(page.read_text(encoding="utf-8")).front)
    alone = dw.report(small_fit(False), path=tmp_path / "report.html", effects=answers[0])
    assert claim not in words(Page(alone.read_text(encoding="utf-8")).front)


def test_unlicensed_answer_is_called_an_association(tmp_path: Path) -> None:
    fit = small_fit(True)
    effect = fit.effect(
        "vacancy", on="missed", horizon=2, seed=1, draws=30, assume="no hidden causes"
    )
    page = dw.report(fit, path=tmp_path / "report.html", effects=[effect])
    front = words(Page(page.read_text(encoding="utf-8")).front)
    assert "association under the declared graph, not an effect" in front
    assert "vacancy ← management → missed" in front
    assert "identified: no, assumed" in front


def test_answers_of_another_fit_and_other_things_are_refused(
    answers: tuple[CausalAnswer, ...], tmp_path: Path
) -> None:
    with pytest.raises(SpecificationError, match=r"number 1 .* comes from another fit"):
        dw.report(small_fit(True), path=tmp_path / "report.html", effects=answers[:1])
    with pytest.raises(SpecificationError, match="number 2 is of type DataFrame"):
        dw.report(
            small_fit(False),
            path=tmp_path / "report.html",
            effects=[answers[0], answers[1].summary()],  # type: ignore[list-item]
        )
    assert not list(tmp_path.iterdir())


def test_a_pilot_and_its_follow_up_stand_in_a_report(tmp_path: Path) -> None:
    fit = small_pilot()
    early = fit.panel.select(periods=slice(0, 3))
    futures = fit.simulate(periods=2, scenarios=dw.do("coaching", 1), panel=early, seed=1)
    pilot = fit.pilot("coaching", on="falls")
    follow_up = futures.follow_up(fit.panel, "do(coaching, 1)")
    page = dw.report(fit, path=tmp_path / "report.html", effects=[pilot, follow_up])
    front = words(Page(page.read_text(encoding="utf-8")).front)
    for one in (pilot, follow_up):
        assert words([repr(one)]).replace(" -", " −").replace("(-", "(−") in front
    assert "none felt that others had begun" in page.read_text(encoding="utf-8")
    # Neither holds two worlds of one unit at once.
    assert "in the world that did not happen" not in front
