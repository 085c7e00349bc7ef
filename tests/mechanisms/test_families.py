"""The families by name, their words, and what can be combined."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from dotwin.errors import SpecificationError
from dotwin.mechanisms.families import FAMILIES, build_family, get_family
from dotwin.mechanisms.links import LINKS, get_link
from tests.mechanisms.family_cases import ALL

LINK_OF = {
    "normal": "identity",
    "student_t": "identity",
    "lognormal": "log",
    "gamma": "log",
    "beta": "logit",
    "bernoulli": "logit",
    "binomial": "logit",
    "beta_binomial": "logit",
    "poisson": "log",
    "negative_binomial": "log",
    "ordinal": "logit",
}


def test_each_family_has_its_default_link():
    assert {name: family.link for name, family in FAMILIES.items()} == LINK_OF


def test_an_unknown_family_or_link_is_named_with_the_known_ones():
    with pytest.raises(SpecificationError, match=r"'poison'.*poisson, negative_binomial"):
        get_family("poison")
    with pytest.raises(SpecificationError, match=r"'probit'.*identity, log, logit"):
        get_link("probit")
    with pytest.raises(SpecificationError, match=r"'poisson'.*'identity'.*Accepted: log"):
        build_family("poisson", link="identity")


@pytest.mark.parametrize(
    ("name", "options", "accepted"),
    [
        ("normal", {"zeros": "inflated"}, "binomial, beta_binomial, poisson, negative_binomial"),
        ("beta", {"zeros": "hurdle"}, "gamma"),
        ("bernoulli", {"zeros": "hurdle"}, "poisson"),
        ("poisson", {"zeros": "many"}, "inflated, hurdle"),
        ("poisson", {"zeros": "inflated", "at_least": True}, "zeros: hurdle"),
        ("ordinal", {"at_least": True}, "poisson"),
        ("gamma", {"ends": (0.0,)}, "zeros: hurdle"),
        ("beta", {"ends": (0.5,)}, "0, 1"),
        ("beta", {"ends": (50.0,), "out_of": 100}, "0, 1, 100"),
        ("beta", {"ends": (0.0,), "at_least": True}, "do not go together"),
        ("poisson", {"out_of": 100}, "beta"),
        ("beta", {"out_of": -1}, "positive"),
    ],
)
def test_a_combination_without_meaning_is_refused_and_says_what_is_accepted(
    name, options, accepted
):
    with pytest.raises(SpecificationError, match=accepted) as caught:
        build_family(name, **options)
    assert repr(name) in str(caught.value)


def test_every_misfit_is_reported_at_once():
    with pytest.raises(SpecificationError) as caught:
        build_family("normal", zeros="inflated", ends=(0.0,), out_of=100)
    assert all(word in str(caught.value) for word in ("zeros", "ends", "out_of"))


def test_extra_names_list_every_parameter_beside_the_predictor():
    assert build_family("negative_binomial").extra_names == ("dispersion",)
    assert get_family("ordinal").extra_names == ("cutpoints",)
    hurdle = build_family("negative_binomial", zeros="hurdle", at_least=True)
    assert hurdle.extra_names == ("dispersion", "lower", "zeros_eta")
    assert hurdle.linear_predictors == ("zeros_eta",)
    ends = build_family("beta", ends=(0, 100), out_of=100)
    assert ends.extra_names == ("dispersion", "end0_eta", "end1_eta")
    assert ends.linear_predictors == ("end0_eta", "end1_eta")


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_modifier_keeps_what_it_does_not_change(case):
    family, plain = case.family, get_family(case.name)
    assert family.name == case.name
    assert family.needs_trials == plain.needs_trials
    assert family.dispersion == plain.dispersion
    assert family.discrete == plain.discrete
    assert family == case.family


def test_titles_are_words():
    assert build_family("negative_binomial", zeros="inflated").title == (
        "zero-inflated negative binomial"
    )
    assert build_family("beta", out_of=100).title == "beta out of 100"


@pytest.mark.parametrize(
    ("family", "words", "inside", "outside"),
    [
        (build_family("poisson"), "a count 0, 1, 2, …", [0, 7], [-1, 0.5, np.inf, np.nan]),
        (build_family("bernoulli"), "0 or 1", [0, 1], [2, 0.5]),
        (build_family("gamma"), "a number above 0", [1e-300, 5], [0, -1]),
        (build_family("gamma", zeros="hurdle"), "a number at least 0", [0, 5], [-1]),
        (build_family("beta"), "a number above 0 and below 1", [0.5], [0, 1]),
        (build_family("beta", ends=(1,)), "a number above 0 and at most 1", [0.5, 1], [0, 2]),
        (build_family("beta", out_of=100), "a number above 0 and below 100", [99], [0, 100]),
        (build_family("normal"), "any number", [-5, 5], [np.nan]),
    ],
    ids=lambda x: getattr(x, "title", None),
)
def test_support_in_words_and_values(family, words, inside, outside):
    assert family.support.describe() == words
    assert family.support.contains(inside).all()
    assert not family.support.contains(outside).any()


def test_support_of_a_share_ends_at_its_trials():
    support = get_family("binomial").support
    assert support.contains([3, 4], [3, 3]).tolist() == [True, False]
    assert support.describe() == "a count 0, 1, … up to the number of trials"


def test_priors_are_on_the_quantity_that_they_name():
    nu = get_family("student_t").dispersion[1]
    assert (nu.name, nu.prior_on, nu.natural(3.0)) == ("nu", "nu - 2", 5.0)
    kappa = get_family("beta").dispersion[0]
    assert kappa.prior_on == "1/sqrt(dispersion)"
    assert kappa.natural(0.5) == pytest.approx(4.0)
    sd = get_family("normal").dispersion[0]
    assert sd.relative_to_child_sd
    assert sd.natural(0.3) == 0.3
    for family in FAMILIES.values():
        for parameter in family.dispersion:
            x = 0.37
            assert parameter.prior_quantity(parameter.natural(x)) == pytest.approx(x)
            assert parameter.meaning
            assert parameter.default_prior


PEERS = {
    "normal": (stats.norm(0.3, 0.7), {"residual_sd": 0.7}, None),
    "student_t": (stats.t(5.0, 0.3, 0.7), {"residual_sd": 0.7, "nu": 5.0}, None),
    "lognormal": (stats.lognorm(0.7, scale=np.exp(0.3)), {"residual_sd": 0.7}, None),
    "gamma": (stats.gamma(4.0, scale=np.exp(0.3) / 4.0), {"dispersion": 4.0}, None),
    "beta": (
        stats.beta(4 / (1 + np.exp(-0.3)), 4 / (1 + np.exp(0.3))),
        {"dispersion": 4.0},
        None,
    ),
    "bernoulli": (stats.bernoulli(1 / (1 + np.exp(-0.3))), {}, None),
    "binomial": (stats.binom(12, 1 / (1 + np.exp(-0.3))), {}, 12),
    "beta_binomial": (
        stats.betabinom(12, 4 / (1 + np.exp(-0.3)), 4 / (1 + np.exp(0.3))),
        {"dispersion": 4.0},
        12,
    ),
    "poisson": (stats.poisson(np.exp(0.3)), {}, None),
    "negative_binomial": (stats.nbinom(4.0, 4.0 / (4.0 + np.exp(0.3))), {"dispersion": 4.0}, None),
}


@pytest.mark.parametrize("name", PEERS)
def test_moments_tails_and_quantiles_equal_those_of_scipy(name):
    peer, extra, trials = PEERS[name]
    family = get_family(name)
    assert float(family.mean(0.3, extra, trials)) == pytest.approx(peer.mean(), rel=1e-12)
    assert float(family.variance(0.3, extra, trials)) == pytest.approx(peer.var(), rel=1e-12)
    u = np.array([0.01, 0.2, 0.5])
    np.testing.assert_allclose(family.quantile(u, 0.3, extra, trials), peer.ppf(u), rtol=1e-10)
    np.testing.assert_allclose(family.quantile(-u, 0.3, extra, trials), peer.isf(u), rtol=1e-10)
    y = peer.ppf([0.05, 0.6, 0.95])
    np.testing.assert_allclose(family.cdf(y, 0.3, extra, trials), peer.cdf(y), rtol=1e-11)
    np.testing.assert_allclose(family.sf(y, 0.3, extra, trials), peer.sf(y), atol=1e-13)


def test_ordinal_moments_are_sums_over_categories():
    family, cuts = get_family("ordinal"), np.array([[-1.0, 0.2, 2.0], [0.0, 1.0, 1.5]])
    eta = np.array([0.4, -0.3])
    edges = np.concatenate(
        [np.zeros((2, 1)), 1 / (1 + np.exp(eta[:, None] - cuts)), np.ones((2, 1))], 1
    )
    p = np.diff(edges, axis=1)
    mean = p @ np.arange(4)
    np.testing.assert_allclose(family.mean(eta, {"cutpoints": cuts}), mean, rtol=1e-12)
    np.testing.assert_allclose(
        family.variance(eta, {"cutpoints": cuts}), p @ np.arange(4) ** 2 - mean**2, rtol=1e-12
    )


@pytest.mark.parametrize("name", LINKS)
def test_links_invert_each_other_and_agree_with_their_graphs(name):
    link = get_link(name)
    eta = np.array([-30.0, -2.0, 0.0, 1.5, 20.0])
    np.testing.assert_allclose(link.inverse(eta), link.inverse_pt(eta).eval(), rtol=1e-14)
    mu = link.inverse(np.array([-3.0, 0.0, 2.0]))
    np.testing.assert_allclose(link.forward(mu), [-3.0, 0.0, 2.0], atol=1e-14)


def test_importing_the_families_does_not_load_pymc_or_scipy():
    code = (
        "import sys, dotwin.mechanisms.families; "
        "print([m for m in ('pymc', 'pytensor', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
