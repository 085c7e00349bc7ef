"""A redeployment is told by what it brings to those who receive and to those who give."""

from __future__ import annotations

import re

import numpy as np

from dotwin.inference import Fit
from dotwin.reports.answers import answers
from dotwin.reports.exchanges import exchange_sentences
from dotwin.spec import Scenario, Twin, block, policy, redeploy, shift


def futures(*scenarios: Scenario):
    plain = {"family": "normal", "plausible": [0, 20]}
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "levels": ["region"]},
        indicators={
            "acuity": {"domain": "demand", "plausible": [1, 3]},
            "hours": {"domain": "workforce", "unit": "nurse hours", **plain},
            "falls": {"domain": "outcome", **plain, "causes": {"hours": {"scale": "natural"}}},
        },
    )
    parameters = {
        "hours.intercept": 10.0, "hours.residual_sd": 1.0,
        "falls.intercept": 5.0, "falls.causes": [-0.5], "falls.residual_sd": 1.0,
    }  # fmt: skip
    panel = twin.simulate_panel(units={"region": 2, "home": 8}, seed=1, parameters=parameters)
    values = {str(n): np.repeat(v.values[None], 20, axis=0) for n, v in panel.truth.items()}
    return Fit.from_parameters(twin, panel, values).simulate(
        scenarios=list(scenarios), seed=1, draws=20
    )


def test_sentences_of_a_redeployment_name_who_receives_and_who_gives() -> None:
    found = futures(Scenario("move", [redeploy("hours", "acuity", within="region", share=0.2)]))
    ((answer,),) = [one.answers for one in answers(found)]
    sentences = exchange_sentences(answer)
    (falls,) = (text for text in sentences if text.startswith("Falls"))
    # Homes of highest acuity receive hours, so they fall less; half of the homes give.
    received, given = re.findall(r"(\S+) \([^)]*\) for the 4 that (?:receive|give)", falls)
    assert float(received.replace("\N{MINUS SIGN}", "-")) < 0 < float(given)


def test_other_scenarios_have_no_such_sentences() -> None:
    found = futures(Scenario("less", [shift("hours", -1.0)]))
    ((answer,),) = [one.answers for one in answers(found)]
    assert exchange_sentences(answer) == []


def test_rules_and_cut_arrows_are_said_in_words() -> None:
    found = futures(
        Scenario(
            "all",
            [
                policy("hours", "8 + acuity", where="acuity > 2"),
                block("hours", "falls"),
            ],
            source="the council",
        ),
        Scenario("move", [redeploy("hours", "acuity", within="region", amount=2, floor=5)]),
    )
    words = [one.interventions for one in answers(found)]
    assert words[0] == (
        "hours: set by the rule 8 + acuity, only where acuity > 2",
        "falls: sees hours as in the baseline, whatever is done",
        "resources come from the council",
    )
    assert words[1] == (
        "hours: moved within each region, its total unchanged, from who is lowest to who is "
        "highest by acuity (2, which keeps at least 5)",
    )
