"""A wrong twin is told everything that is wrong with it, in words and with the line."""

import re
from dataclasses import dataclass

import pytest

from dotwin.errors import ExpressionError, Problem, SpecificationError
from dotwin.spec import (
    Indicator,
    Prior,
    Scenario,
    Twin,
    do,
    parse,
    problems_of_expression,
    problems_of_scenario,
    read_yaml,
    scale,
    shift,
)

PANEL = """\
twin: pressure
purpose: Where will pressure show next?
panel:
  unit: provider
  levels: [region]
  period: {column: month, frequency: month}
indicators:
  wage_gap: {domain: workforce, plausible: [-0.1, 0.3], simulated_as: normal(0.1, 0.1)}
  float_pool: {domain: workforce, level: region}
  ownership: {domain: context, categories: [public, for profit], reference: public}
  acuity: {domain: demand}
  scheduled_visits: {domain: demand}
  referrals: {domain: demand}
  vacancy_rate:
    domain: workforce
    family: beta
    plausible: [0.05, 0.4]
    pooling: [region, provider, period]
    season: {cycle: 12}
    priors: {provider: half_normal(0.5)}
    causes:
      logit(vacancy_rate[-1]): {prior: normal(0.6, 0.2), because: posts stay open}
      wage_gap: {because: wages draw staff away}
  missed_visits:
    domain: quality
    family: beta_binomial
    trials: scheduled_visits
    causes:
      logit(vacancy_rate): {varying: [region], because: nobody is there to visit}
      acuity: {because: high need takes time}
  incidents:
    domain: safeguarding
    family: negative_binomial
    exposure: scheduled_visits
    zeros: {as: inflated, causes: {acuity: {because: calm homes have none}}}
    causes:
      logit(share(missed_visits)): {because: neglect}
  backlog:
    {domain: capacity, equals: "max(0, backlog[-1] + referrals - scheduled_visits)", start: 0}
hidden_causes:
  management: {affects: [vacancy_rate, incidents], level: provider}
thresholds:
  continuity: {of: missed_visits / scheduled_visits, above: 0.05}
scenarios:
  surge: {interventions: ["scale(referrals, 1.15, over=8)"]}
"""

CROSS_SECTION = """\
twin: homes
panel:
  unit: home
  levels: [state]
indicators:
  beds: {domain: capacity}
  turnover:
    domain: workforce
    family: beta
    out_of: 100
    pooling: [state]
    causes: {log(beds): {}}
  citations:
    domain: quality
    family: poisson
    pooling: [state, home]
    causes: {logit(turnover / 100): {}}
"""


def problems_in(text: str) -> list[Problem]:
    with pytest.raises(SpecificationError) as raised:
        read_yaml(text, "twin.yaml")
    return list(raised.value.problems)


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if part in line)


@pytest.mark.parametrize("text", [PANEL, CROSS_SECTION], ids=["panel", "cross-section"])
def test_the_twins_that_are_made_wrong_below_are_sound(text: str) -> None:
    read_yaml(text)


@dataclass(frozen=True)
class Wrong:
    """One edit that makes a sound file wrong, what is said about it, and at which line."""

    old: str
    new: str
    says: tuple[str, ...]
    at: str
    above: int = 0  # how many lines above the one that holds `at`

    def applied(self, text: str) -> str:
        assert text.count(self.old) == 1, f"{self.old!r} stands {text.count(self.old)} times"
        return text.replace(self.old, self.new)


def check_one_problem(text: str, wrong: Wrong) -> None:
    edited = wrong.applied(text)
    problems = problems_in(edited)
    assert len(problems) == 1, "\n".join(map(str, problems))
    (problem,) = problems
    for words in wrong.says:
        assert words in str(problem)
    assert problem.line == line_of(edited, wrong.at) - wrong.above, str(problem)
    assert f"line {problem.line}" in str(problem)


FIELDS = {
    "a misspelt field": Wrong(
        "plausible: [0.05, 0.4]",
        "plausable: [0.05, 0.4]",
        ("Did you mean 'plausible'?",),
        "plausable",
    ),
    "a misspelt section": Wrong(
        "thresholds:", "treshholds:", ("Did you mean 'thresholds'?",), "tresh"
    ),
    "an unknown domain": Wrong(
        "domain: safeguarding",
        "domain: safegarding",
        ("'safegarding'", "'safeguarding'"),
        "safegarding",
    ),
    "an unknown family": Wrong(
        "family: negative_binomial",
        "family: neg_binomial",
        ("'negative_binomial'",),
        "neg_binomial",
    ),
    "a missing name": Wrong("twin: pressure\n", "", ("twin", "is missing"), "purpose"),
    "a number for a name": Wrong(
        "twin: pressure", "twin: 2026", ("must be text", "the number 2026", "'2026'"), "twin: 2026"
    ),
    "true for a name": Wrong(
        "unit: provider", "unit: true", ("panel > unit", "must be text", "'true'"), "unit: true"
    ),
    "text for a number": Wrong(
        "above: 0.05", "above: five", ("must be a number", "'five'"), "above: five"
    ),
    "yes for a number": Wrong(
        "start: 0}", "start: yes}", ("must be a number", "'yes'"), "start: yes"
    ),
    "true for a number": Wrong(
        "start: 0}", "start: true}", ("must be a number", "true"), "start: true"
    ),
    "infinity": Wrong("above: 0.05", "above: .inf", ("finite number",), "above: .inf"),
    "half a range": Wrong("[0.05, 0.4]", "[0.05]", ("second number is missing",), "[0.05]"),
    "a range of three": Wrong(
        "[0.05, 0.4]", "[0, 0.1, 0.4]", ("3 items where 2",), "[0, 0.1, 0.4]"
    ),
    "a name for a list": Wrong(
        "levels: [region]", "levels: region", ("must be a list", "[region]"), "levels: region"
    ),
    "a list for indicators' fields": Wrong(
        "acuity: {domain: demand}",
        "acuity: [demand]",
        ("must be a map", "a list"),
        "acuity: [demand]",
    ),
    "an unknown frequency": Wrong(
        "frequency: month", "frequency: monthly", ("Did you mean 'month'?",), "monthly"
    ),
    "a cycle of one": Wrong("cycle: 12", "cycle: 1", ("must be 2 or more",), "cycle: 1"),
    "a threshold with two sides": Wrong(
        "above: 0.05}", "above: 0.05, below: 0.01}", ("one of above and below",), "below: 0.01"
    ),
    "a comma in unquoted text": Wrong(
        "{because: wages draw staff away}",
        "{because: wages draw staff away, nearby jobs pay more}",
        ("'nearby jobs pay more'", "comma", "in quotes"),
        "nearby jobs",
    ),
}

PRIORS = {
    "an unknown distribution": Wrong(
        "normal(0.6, 0.2)", "nromal(0.6, 0.2)", ("'nromal'", "'normal'"), "nromal"
    ),
    "a missing number": Wrong(
        "normal(0.6, 0.2)", "normal(0.6)", ("normal(mean, sd)",), "normal(0.6)"
    ),
    "an sd of zero": Wrong(
        "normal(0.6, 0.2)", "normal(0.6, 0)", ("sd must be above 0",), "(0.6, 0)"
    ),
    "a number alone": Wrong(
        "prior: normal(0.6, 0.2)", "prior: 0.6", ("normal(0, 0.5)", "the number 0.6"), "prior: 0.6"
    ),
    "an unknown parameter": Wrong(
        "{provider: half_normal(0.5)}",
        "{dispertion: half_normal(0.5)}",
        ("no parameter 'dispertion'", "'dispersion'"),
        "dispertion",
    ),
    "a parameter of another family": Wrong(
        "{provider: half_normal(0.5)}",
        "{residual_sd: half_normal(0.5)}",
        ("no parameter 'residual_sd'", "dispersion"),
        "residual_sd",
    ),
    "a level that is not pooled": Wrong(
        "family: negative_binomial",
        "family: negative_binomial\n    priors: {region: half_normal(1)}",
        ("pooling does not name 'region'",),
        "priors: {region",
    ),
    "a spread below zero": Wrong(
        "{provider: half_normal(0.5)}",
        "{provider: normal(0, 1)}",
        ("below 0", "half_normal"),
        "{provider: normal",
    ),
    "a parameter of zeros": Wrong(
        "{as: inflated, causes",
        "{as: inflated, priors: {dispersion: half_normal(1)}, causes",
        ("zeros > priors", "no parameter 'dispersion'", "intercept"),
        "as: inflated",
    ),
}

EXPRESSIONS = {
    "an unknown cause": Wrong(
        "      acuity: {because: high",
        "      acuty: {because: high",
        ("'acuty'", "'acuity'"),
        "acuty",
    ),
    "a level as a cause": Wrong(
        "      acuity: {because: high",
        "      region: {because: high",
        ("is a level", "pooling"),
        "region: {b",
    ),
    "an unknown function": Wrong(
        "logit(vacancy_rate):", "logi(vacancy_rate):", ("no function 'logi'", "'logit'"), "logi("
    ),
    "an attribute": Wrong(
        "logit(vacancy_rate):",
        "vacancy_rate.__class__:",
        ("'vacancy_rate.__class__' is not in the language",),
        "__class__",
    ),
    "a future value": Wrong(
        "logit(vacancy_rate[-1])",
        "logit(vacancy_rate[1])",
        ("vacancy_rate[-1] for the period before",),
        "[1]",
    ),
    "a power": Wrong("logit(vacancy_rate):", "vacancy_rate ** 2:", ("square(x)",), "** 2"),
    "a bare count with trials": Wrong(
        "logit(share(missed_visits))",
        "missed_visits",
        ("share(missed_visits)", "logit(share(missed_visits))", "log1p(missed_visits)"),
        "missed_visits: {because: neglect}",
    ),
    "the logit of a count with trials": Wrong(
        "logit(share(missed_visits))",
        "logit(missed_visits)",
        ("write logit(share(missed_visits))",),
        "logit(missed_visits)",
    ),
    "the share of what has no trials": Wrong(
        "logit(vacancy_rate):", "share(vacancy_rate):", ("has no trials",), "share(vacancy_rate)"
    ),
    "an interaction without its parts": Wrong(
        "      acuity: {because: high",
        "      acuity * logit(vacancy_rate): {because: high",
        ("interaction", "'acuity'"),
        "acuity * logit",
    ),
    "a cause that stands twice in other words": Wrong(
        "      wage_gap: {because",
        "      wage_gap:\n      ( wage_gap ): {because",
        ("the same cause as 'wage_gap'",),
        "( wage_gap )",
    ),
    "a cause that reads nothing": Wrong(
        "      acuity: {because: high", "      '1': {because: high", ("reads no indicator",), "'1'"
    ),
    "the start of an intervention in a mechanism": Wrong(
        "logit(vacancy_rate):", "start(vacancy_rate):", ("only in an intervention",), "start(vac"
    ),
    "the mean over an unknown level": Wrong(
        "logit(vacancy_rate):",
        "mean(vacancy_rate, over=county):",
        ("no level 'county'", "region"),
        "county",
    ),
    "the mean over the unit itself": Wrong(
        "logit(vacancy_rate):",
        "mean(vacancy_rate, over=provider):",
        ("'provider' is the unit itself",),
        "over=provider",
    ),
    "arithmetic with text": Wrong(
        "      acuity: {because: high",
        "      log(ownership): {because: high",
        ("holds text",),
        "log(owner",
    ),
    "an unknown category": Wrong(
        "      acuity: {because: high",
        "      ownership == 'profit': {because: high",
        ("no category 'profit'", "'for profit'"),
        "== 'profit'",
    ),
    "a category without quotes": Wrong(
        "      acuity: {because: high",
        "      ownership == public: {because: high",
        ("put it in quotes", "ownership == 'public'"),
        "== public",
    ),
    "a number compared with text": Wrong(
        "      acuity: {because: high",
        "      vacancy_rate == 'high': {because: high",
        ("vacancy_rate", "holds numbers"),
        "== 'high'",
    ),
    "a finer indicator in a coarser mechanism": Wrong(
        "float_pool: {domain: workforce, level: region}",
        "float_pool: {domain: workforce, level: region, family: normal, causes: {acuity: {}}}",
        ("recorded by region", "mean(acuity, over=region)"),
        "float_pool",
    ),
    "an unknown name in accounting": Wrong(
        "+ referrals -", "+ referals -", ("'referals'", "'referrals'"), "referals"
    ),
    "an unknown name in a threshold": Wrong(
        "of: missed_visits /",
        "of: missed_visit /",
        ("'missed_visit'", "'missed_visits'"),
        "missed_visit /",
    ),
    "an unknown exposure": Wrong(
        "exposure: scheduled_visits", "exposure: visits", ("no indicator 'visits'",), "exposure"
    ),
    "a condition that is none": Wrong(
        "exposure: scheduled_visits",
        "when: acuity + 1\n    otherwise: 0",
        ("is no condition",),
        "when: acuity",
    ),
}

TOGETHER = {
    "causes without a family": Wrong(
        "    family: negative_binomial\n    exposure: scheduled_visits\n"
        "    zeros: {as: inflated, causes: {acuity: {because: calm homes have none}}}\n",
        "",
        ("causes without a family",),
        "logit(share(missed",
        above=1,
    ),
    "a family and equals": Wrong(
        'capacity, equals: "max',
        'capacity, family: normal, equals: "max',
        ("not both",),
        "backlog[-1]",
    ),
    "no trials": Wrong(
        "    trials: scheduled_visits\n    causes:\n      logit(vacancy_rate)",
        "    causes:\n      logit(vacancy_rate)",
        ("trials", "is missing", "beta_binomial"),
        "  missed_visits:",
    ),
    "trials of a family without": Wrong(
        "exposure: scheduled_visits",
        "trials: referrals",
        ("no meaning for negative_binomial", "binomial, beta_binomial"),
        "trials: referrals",
    ),
    "unknown trials": Wrong(
        "trials: scheduled_visits", "trials: visits", ("no indicator 'visits'",), "trials: visits"
    ),
    "exposure of a share": Wrong(
        "plausible: [0.05, 0.4]",
        "exposure: referrals",
        ("no meaning for beta",),
        "exposure: referrals",
    ),
    "zeros of a beta": Wrong(
        "plausible: [0.05, 0.4]",
        "zeros: hurdle",
        ("no meaning for beta", "ends: [0]"),
        "zeros: hurdle",
    ),
    "ends of a count": Wrong(
        "exposure: scheduled_visits",
        "ends: [0]",
        ("no meaning for negative_binomial", "beta"),
        "ends: [0]",
    ),
    "an end in the middle": Wrong(
        "plausible: [0.05, 0.4]", "ends: [0.5]", ("[0], [1] or [0, 1]",), "ends: [0.5]"
    ),
    "zeros below a bound": Wrong(
        "exposure: scheduled_visits",
        "at_least: scheduled_visits",
        ("'hurdle'", "at_least excludes"),
        "zeros: {as: inflated",
    ),
    "plausible below a bound": Wrong(
        "plausible: [0.05, 0.4]",
        "at_least: 0.1\n    plausible: [0.05, 0.4]",
        ("[0.05, 0.4] reaches outside", "0.1"),
        "plausible: [0.05, 0.4]",
    ),
    "a link of another family": Wrong(
        "plausible: [0.05, 0.4]", "link: log", ("beta has the link logit",), "link: log"
    ),
    "when without otherwise": Wrong(
        "exposure: scheduled_visits", "when: acuity > 1", ("otherwise",), "when: acuity"
    ),
    "otherwise without when": Wrong(
        "exposure: scheduled_visits", "otherwise: 0", ("needs when",), "otherwise: 0"
    ),
    "accounting without a beginning": Wrong(
        'scheduled_visits)", start: 0}',
        'scheduled_visits)"}',
        ("start", "backlog[-1]"),
        "backlog[-1]",
    ),
    "start without accounting": Wrong(
        "exposure: scheduled_visits", "start: 0", ("belongs to equals",), "    start: 0"
    ),
    "pooling of a given": Wrong(
        "acuity: {domain: demand}",
        "acuity: {domain: demand, pooling: [region]}",
        ("belongs to a mechanism",),
        "acuity: {domain",
    ),
    "a simulated mechanism": Wrong(
        "exposure: scheduled_visits",
        "simulated_as: normal(0, 1)",
        ("belongs to a given",),
        "simulated_as: normal(0, 1)",
    ),
    "categories of a count": Wrong(
        "exposure: scheduled_visits",
        "categories: [low, high]",
        ("no meaning", "ordinal"),
        "categories: [low",
    ),
    "ordinal without categories": Wrong(
        "    family: negative_binomial\n    exposure: scheduled_visits\n"
        "    zeros: {as: inflated, causes: {acuity: {because: calm homes have none}}}\n",
        "    family: ordinal\n",
        ("needs its categories",),
        "  incidents:",
    ),
    "an unknown reference": Wrong(
        "reference: public}", "reference: publik}", ("'publik'", "'public'"), "publik"
    ),
    "a range upside down": Wrong(
        "[0.05, 0.4]", "[0.4, 0.05]", ("low end comes first",), "[0.4, 0.05]"
    ),
    "a range of one value": Wrong(
        "[0.05, 0.4]", "[0.4, 0.4]", ("both ends are 0.4",), "[0.4, 0.4]"
    ),
    "a range outside the family": Wrong(
        "[0.05, 0.4]", "[5, 40]", ("reaches outside", "beta", "below 1"), "[5, 40]"
    ),
    "a range of counts for a share": Wrong(
        "trials: scheduled_visits\n    causes",
        "trials: scheduled_visits\n    plausible: [2, 30]\n    causes",
        ("missed_visits / scheduled_visits", "between 0 and 1"),
        "[2, 30]",
    ),
    "a hold that is none": Wrong(
        "acuity: {domain: demand}",
        "acuity: {domain: demand, hold: average}",
        ("last, mean(4) or seasonal",),
        "hold: average",
    ),
    "an unknown weight": Wrong(
        "exposure: scheduled_visits", "weight: residents", ("no indicator 'residents'",), "weight"
    ),
}

STRUCTURE = {
    "an unknown level to pool": Wrong(
        "pooling: [region, provider, period]",
        "pooling: [regions, provider, period]",
        ("no level 'regions'", "'region'"),
        "[regions",
    ),
    "a level that is pooled twice": Wrong(
        "pooling: [region, provider, period]",
        "pooling: [region, region, provider]",
        ("'region' stands twice",),
        "[region, region",
    ),
    "a slope that varies by period": Wrong(
        "{varying: [region]", "{varying: [period]", ("not by period",), "varying: [period]"
    ),
    "an unknown level to vary by": Wrong(
        "{varying: [region]", "{varying: [county]", ("no level 'county'",), "varying: [county]"
    ),
    "an unknown level of an indicator": Wrong(
        "level: region}", "level: county}", ("no level 'county'", "region"), "level: county"
    ),
    "a cycle within a period": Wrong(
        "      logit(vacancy_rate[-1])",
        "      log1p(incidents): {}\n      logit(vacancy_rate[-1])",
        ("→", "vacancy_rate → missed_visits → incidents → vacancy_rate", "[-1]"),
        "  vacancy_rate:",
    ),
    "an indicator that causes itself": Wrong(
        "logit(vacancy_rate[-1])",
        "logit(vacancy_rate)",
        ("vacancy_rate → vacancy_rate",),
        "  vacancy_rate:",
    ),
    "a season that the calendar lacks": Wrong(
        "cycle: 12", "cycle: 7", ("7 months", "12"), "cycle: 7"
    ),
    "too many harmonics": Wrong(
        "{cycle: 12}", "{cycle: 12, harmonics: 7}", ("at most 6 harmonics",), "harmonics: 7"
    ),
    "a hidden cause of one": Wrong(
        "affects: [vacancy_rate, incidents]", "affects: [incidents]", ("at least two",), "affects"
    ),
    "a hidden cause of a given": Wrong(
        "affects: [vacancy_rate, incidents]",
        "affects: [vacancy_rate, acuity]",
        ("'acuity' is given",),
        "affects",
    ),
    "a hidden cause of nothing known": Wrong(
        "affects: [vacancy_rate, incidents]",
        "affects: [vacancy_rate, incident]",
        ("Did you mean 'incidents'?",),
        "affects",
    ),
    "a hidden cause at an unknown level": Wrong(
        "incidents], level: provider",
        "incidents], level: team",
        ("no level 'team'",),
        "level: team",
    ),
    "a name with spaces": Wrong(
        "  acuity: {domain: demand}",
        "  acuity: {domain: demand}\n  case mix: {domain: demand}",
        ("'case_mix'", "label"),
        "case mix",
    ),
    "a name of the language": Wrong(
        "  acuity: {domain: demand}",
        "  acuity: {domain: demand}\n  share: {domain: demand}",
        ("'share' is a word",),
        "  share:",
    ),
    "a name that Python keeps": Wrong(
        "  acuity: {domain: demand}",
        "  acuity: {domain: demand}\n  class: {domain: demand}",
        ("'class' is a word",),
        "  class:",
    ),
    "a name that a level has": Wrong(
        "  acuity: {domain: demand}",
        "  acuity: {domain: demand}\n  region: {domain: context}",
        ("'region' is a level too",),
        "  region:",
    ),
    "a column of an unknown level": Wrong(
        "  levels: [region]",
        "  levels: [region]\n  columns: {regions: REGION}",
        ("no level 'regions'",),
        "REGION",
    ),
}

SCENARIOS = {
    "an unknown verb": Wrong("scale(ref", "scael(ref", ("no verb 'scael'", "'scale'"), "scael"),
    "an unknown option": Wrong("over=8", "ovr=8", ("no option 'ovr'", "'over'"), "ovr=8"),
    "an unknown indicator": Wrong(
        "scale(referrals", "scale(referals", ("'referals'", "'referrals'"), "scale(referals"
    ),
    "no interventions": Wrong(
        '{interventions: ["scale(referrals, 1.15, over=8)"]}',
        "{question: what if?}",
        ("interventions", "is missing"),
        "surge",
    ),
    "an unknown field": Wrong(
        "{interventions: [",
        "{qestion: why, interventions: [",
        ("Did you mean 'question'?",),
        "qestion",
    ),
    "what equals others": Wrong(
        "scale(referrals, 1.15, over=8)",
        "do(backlog, 0)",
        ("cannot be set", "referrals, scheduled_visits"),
        "do(backlog",
    ),
    "text by a number": Wrong(
        "scale(referrals, 1.15, over=8)", "do(ownership, 1)", ("holds text",), "do(ownership"
    ),
    "two changes at once": Wrong(
        '"scale(referrals, 1.15, over=8)"',
        '"shift(acuity, 1)", "shift(acuity, 2, start=3)"',
        ("in the same periods", "until="),
        "shift(acuity",
    ),
    "a rule that reads what it changes": Wrong(
        "scale(referrals, 1.15, over=8)",
        "shift(vacancy_rate, -0.02, where='incidents > 2')",
        ("incidents", "follows vacancy_rate", "incidents[-1]", "start(incidents)"),
        "where='incidents",
    ),
    "a rule for an unknown group": Wrong(
        "scale(referrals, 1.15, over=8)",
        "shift(acuity, 1, where='regio == \\\"North\\\"')",
        ("no indicator 'regio'", "'region'"),
        "regio ==",
    ),
    "the name of the world as it is": Wrong(
        "  surge:", "  baseline:", ("without intervention",), "baseline"
    ),
    "a month that is none": Wrong("over=8", "start='May'", ("'2025-03'", "'May'"), "start='May'"),
    "an end before the beginning": Wrong(
        "over=8", "start=5, until=2", ("until comes before start",), "until=2"
    ),
}

CASES = FIELDS | PRIORS | EXPRESSIONS | TOGETHER | STRUCTURE | SCENARIOS


@pytest.mark.parametrize("wrong", CASES.values(), ids=CASES.keys())
def test_a_wrong_twin_gets_one_clear_message_with_its_line(wrong: Wrong) -> None:
    check_one_problem(PANEL, wrong)


ONE_PERIOD = {
    "a lag": Wrong(
        "{log(beds): {}}", "{'log(beds[-1])': {}}", ("beds[-1]", "one period"), "beds[-1]"
    ),
    "a season": Wrong("out_of: 100", "season: {cycle: 12}", ("no season",), "season"),
    "a trend": Wrong("out_of: 100", "trend: linear", ("no trend",), "trend"),
    "the logit of a percentage": Wrong(
        "logit(turnover / 100)", "logit(turnover)", ("logit(turnover / 100)",), "logit(turnover)"
    ),
    "pooled periods": Wrong("pooling: [state]", "pooling: [period]", ("one period",), "[period]"),
    "a unit effect beside a dispersion": Wrong(
        "pooling: [state]", "pooling: [state, home]", ("seen once", "beta"), "out_of", above=-1
    ),
    "a slope by unit": Wrong(
        "{logit(turnover / 100): {}}",
        "{logit(turnover / 100): {varying: [home]}}",
        ("seen once",),
        "varying",
    ),
    "a mean over levels that are not there": Wrong(
        "levels: [state]\nindicators:\n  beds: {domain: capacity}\n  turnover:\n"
        "    domain: workforce\n    family: beta\n    out_of: 100\n    pooling: [state]\n"
        "    causes: {log(beds): {}}",
        "levels: []\nindicators:\n  beds: {domain: capacity}\n  turnover:\n    domain: workforce\n"
        '    family: beta\n    causes: {"mean(beds, over=state)": {}}',
        ("declares none",),
        "over=state",
    ),
}


@pytest.mark.parametrize("wrong", ONE_PERIOD.values(), ids=ONE_PERIOD.keys())
def test_a_cross_section_has_one_period_and_sees_each_unit_once(wrong: Wrong) -> None:
    text = CROSS_SECTION
    if "over=state" in wrong.new:
        text = text.replace("pooling: [state, home]", "pooling: [home]")
    check_one_problem(text, wrong)


SYNTAX = {
    "an open bracket": ("twin: [a\n", 2, "expected"),
    "a tab": ("twin: a\n\tpanel: b\n", 2, "cannot start any token"),
    "a quote that never ends": ('twin: "a\npanel: {unit: home}\n', 3, "end of stream"),
    "two documents": ("twin: a\n---\ntwin: b\n", 2, "single document"),
    "an anchor that is not there": ("twin: *name\n", 1, "undefined alias"),
    "brackets in braces": ("twin: a\ncauses: {x[-1]: {}}\n", 2, "stands in quotes"),
    "a colon in text": ("twin: a\npurpose: why: because\n", 2, "not allowed here"),
}


@pytest.mark.parametrize(("text", "line", "words"), SYNTAX.values(), ids=SYNTAX.keys())
def test_what_is_not_yaml_is_said_in_one_message(text: str, line: int, words: str) -> None:
    (problem,) = problems_in(text)
    assert problem.line == line
    assert "the file is not YAML here" in problem.what
    assert words in problem.what


@pytest.mark.parametrize("text", ["", "# nothing\n", "- twin\n", "twin\n", "3\n"])
def test_a_file_that_holds_no_map_is_no_twin(text: str) -> None:
    (problem,) = problems_in(text)
    assert "a twin is a map" in problem.what


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    text = PANEL + "twin: again\n"
    (problem,) = problems_in(text)
    assert problem.line == len(PANEL.splitlines()) + 1
    assert "first on line 1" in problem.what


def test_an_indicator_that_stands_twice_is_refused_among_other_problems() -> None:
    text = PANEL.replace("family: beta\n", "family: bta\n").replace(
        "  referrals: {domain: demand}\n",
        "  referrals: {domain: demand}\n  acuity: {domain: demand}\n",
    )
    first, second = problems_in(text)
    assert (first.line, second.line) == (line_of(text, "  referrals:") + 1, line_of(text, "bta"))
    assert "stands twice" in first.what
    assert "'beta'" in second.what


def test_a_part_that_holds_itself_is_refused() -> None:
    problems = problems_in("twin: a\npanel: &p {unit: home, columns: *p}\nindicators: {}\n")
    assert any("holds itself" in problem.what for problem in problems)


def test_code_in_a_file_is_not_run() -> None:
    problems = problems_in(PANEL.replace("twin: pressure", "twin: !!python/name:os.system ''"))
    assert any("tag" in problem.what and problem.line == 1 for problem in problems)


def test_every_problem_is_told_at_once_even_beside_unreadable_fields() -> None:
    edits = [
        CASES[name]
        for name in (
            "an unknown family",
            "an unknown distribution",
            "an unknown level to vary by",
            "an unknown name in a threshold",
            "a hidden cause at an unknown level",
            "an unknown verb",
        )
    ]
    text = PANEL
    for wrong in edits:
        text = wrong.applied(text)
    problems = problems_in(text)
    assert [problem.line for problem in problems] == sorted(line_of(text, w.at) for w in edits)
    for problem, wrong in zip(
        problems, sorted(edits, key=lambda w: line_of(text, w.at)), strict=True
    ):
        assert all(words in str(problem) for words in wrong.says)


def test_an_unreadable_field_brings_no_second_complaint_about_its_indicator() -> None:
    # Without its family, missed_visits would also seem to have causes for nothing.
    text = PANEL.replace("family: beta_binomial", "family: betabinomial")
    (problem,) = problems_in(text)
    assert "'beta_binomial'" in problem.what


def test_the_error_names_the_file_and_counts_the_problems() -> None:
    text = CASES["an unknown verb"].applied(CASES["infinity"].applied(PANEL))
    with pytest.raises(
        SpecificationError, match=r"(?s)^twin\.yaml: 2 problems\n  - line \d+, .*\n  - line"
    ):
        read_yaml(text, "twin.yaml")


# ── in Python ────────────────────────────────────────────────────────────────────────────────────

UNREADABLE = {
    "import": ("__import__('os')", "no function '__import__'"),
    "lambda": ("lambda: 1", "not in the language"),
    "a list": ("[x for x in y]", "not in the language"),
    "a method": ("x.sum()", "not in the language"),
    "a named value": ("(y := x)", "not in the language"),
    "text joined": ("f'{x}'", "not in the language"),
    "if": ("1 if x else 2", "not in the language"),
    "two statements": ("x; y", "cannot be read"),
    "nothing": ("", "cannot be read"),
    "an assignment": ("x = 1", "cannot be read"),
    "true": ("x == True", "1 or 0"),
    "membership": ("x in y", "accepted comparisons"),
    "integer division": ("x // 2", "not in the language"),
    "a zero lag": ("x[0]", "x[-1] for the period before"),
    "a lag by name": ("x[-k]", "x[-1] for the period before"),
    "half a lag": ("x[-1.5]", "x[-1] for the period before"),
    "a lag of a function": ("log(x)[-1]", "not in the language"),
    "too many arguments": ("log(x, 2)", "takes 1 argument(s), not 2"),
    "too few arguments": ("max(x)", "two or more"),
    "an option of log": ("log(x, base=2)", "by position"),
    "a hinge at an indicator": ("hinge(x, y)", "is a number"),
    "saturating at nothing": ("saturating(x, 0)", "above 0"),
    "the share of a product": ("share(x * y)", "share takes an indicator"),
    "a mean of nothing": ("mean(over=region)", "mean(x, over=region"),
    "a mean over text": ("mean(x, over='region')", "mean(x, over=region"),
    "a mean over two levels": ("mean(x, over=a, over=b)", "mean(x, over=region"),
    "an unpacked argument": ("max(*x, y)", "not in the language"),
    "text on its own": ("x + 'a'", "can only be compared"),
    "text in order": ("x > 'a'", "can only be compared"),
    "a number beyond all measure": ("x > 1e999", "too large"),
    "a whole number beyond all measure": ("x > " + "9" * 400, "too large"),
    "a number too long to read": ("x > " + "9" * 5000, "cannot be read"),
    "an imaginary number": ("1j * x", "not in the language"),
    "deep nesting": ("+".join(["x"] * 300), "nested more than 100 deep"),
    "deeper nesting": ("(" * 400 + "x" + ")" * 400, "cannot be read"),
    "deepest nesting": ("-" * 100_000 + "x", "cannot be read|nested more"),
    "a null byte": ("x\0", "cannot be read"),
}


@pytest.mark.parametrize(("text", "words"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_the_language_lacks_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(ExpressionError, match=re.sub(r"([()\[\]*])", r"\\\1", words)):
        parse(text)


@pytest.fixture(scope="module")
def twin() -> Twin:
    return read_yaml(PANEL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("missed_visit > 3", "Did you mean 'missed_visits'?"),
        ("missed_visits + 3", "is no condition"),
        ("region == North", "region == 'North'"),
        ("mean(region, over=region) > 1", "is a level"),
        ("start(acuity) > 2", "only in an intervention"),
        ("1 > 0", "reads no indicator"),
    ],
)
def test_a_probability_of_what_the_twin_lacks_is_refused(twin: Twin, text: str, words: str) -> None:
    (problem,) = problems_of_expression(twin, text)
    assert words in problem.what


def test_conditions_on_levels_shares_and_the_start_can_be_read(twin: Twin) -> None:
    assert problems_of_expression(twin, "share(missed_visits) > 0.05 and region == 'North'") == []
    fixed = Scenario("fixed", shift("acuity", 1, where="start(incidents) > 2 or provider != 'P1'"))
    rule = Scenario("rule", shift("vacancy_rate", -0.02, where="incidents[-1] > 2 and acuity > 1"))
    assert problems_of_scenario(twin, fixed) == problems_of_scenario(twin, rule) == []


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Prior("normal", (0.0,)), "has 1 numbers"),
        (lambda: Prior("normal", (0.0, float("inf"))), "sd must be a finite number"),
        (lambda: Prior("uniform", (1.0, 0.0)), "low must be below high"),
        (lambda: Prior.parse("normal(0, sd=1)"), "is no prior"),
        (lambda: Prior.parse("normal(0, '1')"), "is no prior"),
        (lambda: do("x", "0.1.2"), "is no prior"),
        (lambda: do("x", True), "not true"),
        (lambda: do("x", float("nan")), "must be a number"),
        (lambda: scale("x", 1.1, over=0), "over: must be 1 or more"),
        (lambda: shift("x", 1, periods=2, until=3), "until= or periods="),
        (lambda: shift("x", 1, where="y >"), "cannot be read"),
        (lambda: Scenario("s", []), "at least one intervention"),
        (lambda: Scenario("s", "do(x, 1, carry=True)"), "no natural value left"),
        (lambda: Scenario("s", "x.do(1)"), "is no intervention"),
        (lambda: Scenario("", "do(x, 1)"), "needs a name"),
        (lambda: Scenario.read("s", {"interventions": "do(x)"}), "takes an indicator and a value"),
        (lambda: Scenario.read("s", ["do(x, 1)"]), "must be a map of fields"),
        (lambda: Indicator(domain="quality", faimly="beta"), "Did you mean 'family'?"),
        (lambda: Twin(twin="t", panel={"unit": "home"}, indicators={}), "at least one indicator"),
        (lambda: Twin(twin="t", panel="home", indicators={}), "panel: must be a map"),
    ],
)
def test_a_wrong_value_is_refused_when_it_is_made(build: object, words: str) -> None:
    assert callable(build)
    with pytest.raises(SpecificationError) as raised:
        build()
    assert words in str(raised.value)
    assert "pydantic" not in str(raised.value)
