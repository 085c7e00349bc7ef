"""A small twin with awkward labels, its simulated panel, and a fit of known parameters."""

from functools import cache

import numpy as np

import dotwin as dw
from dotwin.inference.fit import Fit
from dotwin.worlds import Futures

AWKWARD = 'missed & <b>late</b> visits in "$"'

TWIN = """
twin: small <twin> & co
purpose: Does a <script>alert(1)</script> & other text come through as text?
panel:
  unit: home
  levels: [region]
  period: {column: month, frequency: month}
indicators:
  pay:
    {domain: workforce, unit: "$ & cents per hour", plausible: [10, 16],
     simulated_as: "normal(13, 2)", unconfounded: set by <law>}
  visits: {domain: demand, unit: visits planned, simulated_as: "gamma(40, 0.5)"}
  vacancy:
    domain: workforce
    unit: share of funded posts
    plausible: [0.1, 0.45]
    family: beta
    pooling: [region, home, period]
    causes:
      logit(vacancy[-1]): {prior: "normal(0.5, 0.1)", because: posts stay open}
      pay: {prior: "normal(-0.2, 0.1)", because: "pay < market & people leave"}
    priors:
      {intercept: "normal(-1.0, 0.1)", home: half_normal(0.2), dispersion: half_normal(0.1)}
  missed:
    domain: quality
    label: LABEL
    unit: visits missed, of those planned
    plausible: [0.01, 0.1]
    family: binomial
    trials: visits
    pooling: [region, home, period]
    causes:
      logit(vacancy): {prior: "normal(0.4, 0.1)", because: nobody comes, evidence: a <study>}
    priors: {intercept: "normal(-3.2, 0.1)"}
HIDDEN
thresholds:
  missed_share:
    {of: missed / visits, above: 0.05, meaning: care & continuity fail, escalate_to: the <manager>}
scenarios:
  fill posts:
    interventions: ["shift(vacancy, -0.02)"]
    question: What if two posts in a hundred are filled & stay filled?
  fill posts and pay:
    interventions: ["shift(vacancy, -0.02)", "shift(pay, 1, over=2)"]
    source: the <made-up> pay fund
governance:
  owner: the board
  approved_uses: [choosing where to look & what to ask]
  prohibited_uses: [decisions about one <home>]
  limitations: [Every number is made up]
"""
HIDDEN = """
hidden_causes:
  management: {affects: [vacancy, missed], level: home, because: good managers keep staff}
"""


def small_twin(hidden: bool = False) -> dw.Twin:
    from dotwin.spec import read_yaml

    text = TWIN.replace("LABEL", "'" + AWKWARD + "'").replace("HIDDEN", HIDDEN if hidden else "")
    return read_yaml(text)


@cache
def small_panel(hidden: bool) -> dw.Panel:
    return small_twin(hidden).simulate_panel(units={"region": 2, "home": 8}, periods=10, seed=3)


@cache
def small_fit(hidden: bool) -> Fit:
    """The truth of the panel with a little doubt about it, so that intervals have a width."""
    panel = small_panel(hidden)
    assert panel.truth is not None
    rng = np.random.default_rng(1)
    values = {}
    for name, one in panel.truth.data_vars.items():
        if str(name).split(".")[0] not in panel.twin.indicators:
            continue  # a hidden cause is part of the truth and of no mechanism
        noise = 1 + 0.03 * rng.standard_normal((30, *one.shape))
        values[str(name)] = one.values[None] * noise
    return Fit.from_parameters(panel.twin, panel, values)


@cache
def small_futures(hidden: bool) -> Futures:
    return small_fit(hidden).simulate(periods=3, scenarios=None, seed=1, draws=30, assume="edge")
