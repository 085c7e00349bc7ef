"""What looks back has figures too, in the words of its answer."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from dotwin.inference import Fit
from dotwin.spec import Scenario, do
from tests.effects.conftest import workforce  # noqa: F401 # a fixture
from tests.effects.test_necessity import fitted


def texts(figure: Figure) -> str:
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.fixture
def before() -> list[int]:
    return plt.get_fignums()


def test_a_counterfactual_shows_both_worlds(workforce: Fit, before: list[int]) -> None:  # noqa: F811
    answer = workforce.counterfactual(
        Scenario("kept staff", [do("turnover", 0.02)]), periods="2020-08", draws=4
    )
    for figure in (answer.plot(), answer.plot("missed_visits_share", by="region")):
        assert isinstance(figure, Figure)
        assert "had 'kept staff' been so" in texts(figure)
        assert "was" in texts(figure)
    assert plt.get_fignums() == before


def test_an_effect_is_drawn_part_by_part(workforce: Fit) -> None:  # noqa: F811
    found = workforce.mediation(
        "vacancy_rate", on="hospitalizations", through="missed_visits", draws=4, periods=2
    )
    words = texts(found.plot())
    for part in found.parts:
        assert part in words
    single = fitted(60, 4).mediation("short", on="fall", through="help", kind="natural", draws=4)
    assert "pure indirect" in texts(single.plot())


def test_a_change_is_drawn_from_end_to_end(workforce: Fit) -> None:  # noqa: F811
    found = workforce.attribute("incidents", before="2020-03", after="2020-08", draws=4)
    words = texts(found.plot())
    for name in (*found.parts, *found.labels):
        assert name in words


def test_each_source_of_variation_is_drawn(workforce: Fit) -> None:  # noqa: F811
    found = workforce.influence("incidents", detail="kinds", draws=4, replicates=2)
    words = texts(found.plot())
    for name in found.sources:
        assert name in words
    assert "% of the variance of safeguarding incidents" in words
    many = workforce.influence("incidents", draws=4, replicates=2)
    assert f"{len(many.sources) - 7} others together" in texts(many.plot())


def test_probabilities_of_causation_are_drawn_between_their_bounds() -> None:
    found = fitted(60, 4).necessity("short", on="fall", draws=4, replicates=2)
    words = texts(found.plot())
    assert "bounds, whatever the coupling" in words
    assert "sufficiency" in words
