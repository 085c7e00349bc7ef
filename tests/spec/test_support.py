"""The table of supports says what the distributions themselves say."""

import numpy as np
import pytest
from scipy import stats

from dotwin.spec.support import SUPPORTS, support_of
from dotwin.spec.twin import FAMILIES, Indicator

SCIPY = {
    "normal": stats.norm(0, 1),
    "student_t": stats.t(4),
    "lognormal": stats.lognorm(1),
    "gamma": stats.gamma(2),
    "beta": stats.beta(2, 3),
    "bernoulli": stats.bernoulli(0.3),
    "binomial": stats.binom(7, 0.3),
    "beta_binomial": stats.betabinom(7, 2, 3),
    "poisson": stats.poisson(3),
    "negative_binomial": stats.nbinom(2, 0.4),
}
PROBES = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 7.0, 7.5, 8.0])


@pytest.mark.parametrize("family", SCIPY)
def test_a_value_is_possible_where_its_distribution_has_mass(family: str) -> None:
    distribution = SCIPY[family]
    discrete = hasattr(distribution, "pmf")
    mass = distribution.pmf(PROBES) if discrete else distribution.pdf(PROBES)
    expected = np.nan_to_num(mass) > 0
    assert SUPPORTS[family].contains(PROBES, trials=7).tolist() == expected.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_infinite_and_missing_values_are_never_possible(family: str) -> None:
    assert not SUPPORTS[family].contains([-np.inf, np.inf, np.nan]).any()


def test_every_family_has_a_support() -> None:
    assert set(SUPPORTS) == set(FAMILIES)


@pytest.mark.parametrize(
    ("fields", "possible", "impossible", "words"),
    [
        ({}, [-5, 0.5], [np.inf], "any finite number"),
        ({"out_of": 100}, [0, 100], [-1, 100.1], "numbers from 0 to 100"),
        ({"family": "beta"}, [0.5], [0, 1], "numbers above 0 and below 1"),
        ({"family": "beta", "ends": (0,)}, [0], [1], "numbers of at least 0 and below 1"),
        ({"family": "beta", "ends": (1,)}, [1], [0], "numbers above 0 and of at most 1"),
        ({"family": "beta", "ends": (0, 1)}, [0, 1], [1.1], "numbers from 0 to 1"),
        ({"family": "beta", "out_of": 100, "ends": (0, 1)}, [0, 1, 100], [101], "from 0 to 100"),
        ({"family": "gamma"}, [1], [0], "numbers above 0"),
        ({"family": "gamma", "zeros": "hurdle"}, [0], [-1], "numbers of at least 0"),
        ({"family": "poisson", "zeros": "inflated"}, [0, 3], [0.5, -1], "whole numbers from 0"),
        ({"family": "bernoulli"}, [0, 1], [2, 0.5], "0 or 1"),
        ({"family": "binomial"}, [0, 9], [-1], "from 0 up to the number of trials"),
        (
            {"family": "ordinal", "categories": ("a", "b", "c")},
            [0, 2],
            [3, -1],
            "whole numbers from 0 to 2",
        ),
    ],
)
def test_what_an_indicator_declares_widens_its_support(
    fields: dict[str, object], possible: list[float], impossible: list[float], words: str
) -> None:
    support = support_of(Indicator.model_validate({"domain": "quality", **fields}))
    assert support.contains(possible).all()
    assert not support.contains(impossible).any()
    assert words in support.describe()


def test_a_number_as_bound_cuts_the_support_there() -> None:
    hours = Indicator(domain="workforce", family="student_t", at_least=0)
    assert hours.at_least == "0"
    assert support_of(hours).contains([-0.1, 0.0, 2.0]).tolist() == [False, True, True]
    # A zero of its own equation lies below the bound of the rest.
    found = Indicator(domain="quality", family="poisson", at_least=3, zeros="hurdle")
    assert support_of(found).contains([0.0, 3.0]).all()
