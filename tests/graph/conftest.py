"""Twins that several tests read."""

from __future__ import annotations

import pytest

from dotwin.spec.twin import Twin


@pytest.fixture(scope="session")
def nursing_homes() -> Twin:
    """Staffing, quality and inspections of nursing homes, with two unrecorded traits of a home."""
    pooled = ["state", "home", "period"]
    return Twin(
        twin="nursing-homes",
        panel={
            "unit": "home",
            "levels": ["state"],
            "period": {"column": "quarter", "frequency": "quarter"},
        },
        indicators={
            "ownership": {
                "domain": "context",
                "categories": ["non-profit", "for profit", "government"],
                "reference": "non-profit",
            },
            "beds": {"domain": "capacity", "label": "certified beds"},
            "census": {
                "domain": "demand",
                "label": "residents",
                "family": "binomial",
                "trials": "beds",
                "pooling": ["home"],
                "causes": {"logit(share(census[-1]))": {}},
            },
            "turnover": {
                "domain": "workforce",
                "label": "nursing staff turnover",
                "family": "beta",
                "pooling": pooled,
                "causes": {"logit(turnover[-1])": {}, "ownership": {"because": "wages differ"}},
            },
            "rn_hprd": {
                "domain": "workforce",
                "label": "RN hours per resident day",
                "family": "lognormal",
                "pooling": pooled,
                "causes": {
                    "log(rn_hprd[-1])": {},
                    "logit(turnover)": {"because": "leavers are not replaced at once"},
                    "ownership": {},
                },
            },
            "rehospitalizations": {
                "domain": "utilization",
                "family": "negative_binomial",
                "exposure": "census",
                "pooling": pooled,
                "causes": {"log(rn_hprd)": {}, "logit(turnover[-1])": {}},
            },
            "surveys": {"domain": "context", "label": "inspections"},
            "citations": {
                "domain": "quality",
                "label": "health citations",
                "family": "negative_binomial",
                "pooling": ["state", "home"],
                "when": "surveys > 0",
                "otherwise": 0,
                "causes": {"log(rn_hprd)": {}, "logit(turnover)": {}},
            },
            "fines": {
                "domain": "cost",
                "family": "gamma",
                "zeros": {"as": "hurdle", "causes": {"log1p(citations)": {}}, "pooling": ["state"]},
                "causes": {"log1p(citations)": {}},
            },
        },
        hidden_causes={
            "management_quality": {
                "affects": ["turnover", "rn_hprd", "citations"],
                "level": "home",
                "because": "the same people run staffing and care",
            },
            "resident_case_mix": {"affects": ["rn_hprd", "citations"], "level": "home"},
        },
    )


@pytest.fixture(scope="session")
def workforce_pressure() -> Twin:
    """Vacancies, missed visits and hospitalisations of home-care providers, with feedback."""
    pooled = ["region", "provider", "period"]
    return Twin(
        twin="workforce-pressure",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "wage_gap": {"domain": "workforce", "label": "wage gap to the local market"},
            "acuity": {"domain": "demand", "label": "client acuity"},
            "travel_minutes": {"domain": "context"},
            "scheduled_visits": {"domain": "demand"},
            "referrals": {
                "domain": "demand",
                "family": "negative_binomial",
                "pooling": ["region", "provider"],
                "causes": {"log1p(referrals[-1])": {}},
            },
            "vacancy_rate": {
                "domain": "workforce",
                "family": "beta",
                "pooling": pooled,
                "causes": {
                    "logit(vacancy_rate[-1])": {"because": "posts stay open"},
                    "wage_gap": {"because": "competing wages draw staff away"},
                    "overtime[-1]": {"because": "tired staff leave"},
                },
            },
            "overtime": {
                "domain": "workforce",
                "label": "overtime hours per worker",
                "family": "lognormal",
                "pooling": ["provider"],
                "causes": {"logit(vacancy_rate)": {}, "log1p(referrals)": {}},
            },
            "missed_visits": {
                "domain": "quality",
                "family": "beta_binomial",
                "trials": "scheduled_visits",
                "pooling": ["region", "provider"],
                "causes": {
                    "logit(vacancy_rate)": {"varying": ["region"], "because": "no one to send"},
                    "acuity": {},
                    "acuity * logit(vacancy_rate)": {"because": "high need suffers first"},
                    "hinge(travel_minutes, 45)": {},
                },
            },
            "backlog": {
                "domain": "capacity",
                "label": "people waiting for a start of care",
                "equals": "max(0, backlog[-1] + referrals - starts)",
                "start": 0,
            },
            "starts": {
                "domain": "capacity",
                "label": "starts of care",
                "family": "poisson",
                "pooling": ["provider"],
                "causes": {"backlog[-1]": {}, "logit(vacancy_rate)": {}},
            },
            "incidents": {
                "domain": "safeguarding",
                "label": "safeguarding incidents",
                "family": "poisson",
                "pooling": ["region"],
                "causes": {"overtime": {}, "share(missed_visits[-1])": {}},
            },
            "hospitalizations": {
                "domain": "outcome",
                "family": "negative_binomial",
                "pooling": pooled,
                "causes": {
                    "share(missed_visits)": {},
                    "share(missed_visits[-1])": {},
                    "acuity": {},
                },
            },
        },
    )
