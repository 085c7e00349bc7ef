"""Addressed noise: the published generator, stable addresses, sound distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dotwin.spec.prior import Prior
from dotwin.worlds.noise import (
    node_key,
    normal_noise,
    philox4x32,
    prior_quantile,
    tail_noise,
    uniform,
    unit_numbers,
)

# Known-answer vectors for philox4x32-10 of the Random123 distribution that accompanies
# Salmon et al. (2011), doi:10.1145/2063384.2063405: counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter: str, key: str, answer: str) -> None:
    assert [int(word) for word in philox4x32(words(counter), words(key))] == words(answer)


def test_the_compiled_kernel_is_the_readable_philox() -> None:
    draws, units, period = np.array([0, 7, 2**32 - 1]), unit_numbers(["a", "b", "ü"]), -5
    w0, w1, _, _ = philox4x32(
        (draws[:, None], units & np.uint64(0xFFFFFFFF), units >> np.uint64(32), period % 2**32),
        node_key(3, "x"),
    )
    tail = ((w0 << np.uint64(20) | w1 >> np.uint64(12)).astype(float) + 0.5) * 2.0**-53
    expected = np.where(w1 & np.uint64(1) == 1, tail, -tail)
    np.testing.assert_array_equal(tail_noise(3, "x", draws, units, period), expected)


@given(
    seed=st.integers(0, 2**40),
    draws=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6, unique=True),
    ids=st.lists(st.text(max_size=4), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_noise_does_not_depend_on_order_or_company(seed, draws, ids, data) -> None:
    units = unit_numbers(ids)
    whole = tail_noise(seed, "x", np.array(draws), units, 12)
    d = data.draw(st.permutations(range(len(draws))))[: max(1, len(draws) // 2)]
    u = data.draw(st.permutations(range(len(ids))))[: max(1, len(ids) // 2)]
    part = tail_noise(seed, "x", np.array(draws)[d], unit_numbers([ids[i] for i in u]), 12)
    np.testing.assert_array_equal(part, whole[np.ix_(d, u)])


def test_noise_is_uniform_and_unrelated_between_neighbouring_addresses() -> None:
    draws, units = np.arange(200), unit_numbers(f"unit-{i}" for i in range(200))

    def noise(seed: int, node: str, period: int) -> np.ndarray:
        return uniform(tail_noise(seed, node, draws, units, period))

    base = noise(1, "a", 600)
    assert stats.kstest(base.ravel(), "uniform").pvalue > 1e-3
    others = {
        "seed": noise(2, "a", 600),
        "node": noise(1, "b", 600),
        "period": noise(1, "a", 601),
        "draw": np.roll(base, 1, axis=0),
        "unit": np.roll(base, 1, axis=1),
    }
    limit = 4 / np.sqrt(base.size)  # a correlation of independent values has sd 1/sqrt(n)
    for name, other in others.items():
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < limit, name
        assert not (base == other).any(), name


def test_tail_noise_lies_in_both_tails_and_never_at_an_end() -> None:
    v = tail_noise(5, "x", np.arange(500), unit_numbers("abcdefgh"), 0)
    assert np.abs(v).max() < 0.5
    assert np.abs(v).min() > 0
    assert abs((v > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(v.size)


def test_normal_noise_is_the_normal_quantile_deep_into_both_tails() -> None:
    v = np.array([0.3, 1e-12, -0.3, -1e-12])
    expected = np.where(v > 0, stats.norm.ppf(np.abs(v)), stats.norm.isf(np.abs(v)))
    np.testing.assert_allclose(normal_noise(v), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("prior", "reference"),
    [
        ("normal(1, 2)", stats.norm(1, 2)),
        ("student_t(4, 1, 2)", stats.t(4, 1, 2)),
        ("half_normal(0.5)", stats.halfnorm(scale=0.5)),
        ("exponential(3)", stats.expon(scale=1 / 3)),
        ("gamma(2, 3)", stats.gamma(2, scale=1 / 3)),
        ("lognormal(0.1, 0.4)", stats.lognorm(0.4, scale=np.exp(0.1))),
        ("beta(2, 5)", stats.beta(2, 5)),
        ("uniform(-1, 3)", stats.uniform(-1, 4)),
    ],
)
def test_prior_quantiles_are_scipys(prior: str, reference) -> None:
    tails = np.array([1e-8, 0.01, 0.2, 0.4999])
    one = Prior.parse(prior)
    np.testing.assert_allclose(prior_quantile(one, tails), reference.ppf(tails), rtol=1e-7)
    np.testing.assert_allclose(prior_quantile(one, -tails), reference.isf(tails), rtol=1e-7)


def test_half_student_t_is_the_absolute_student_t() -> None:
    v = np.array([0.1, 0.45, -0.45, -0.01])
    p = np.where(v > 0, v, 1 + v)
    np.testing.assert_allclose(
        prior_quantile(Prior.parse("half_student_t(5, 2)"), v), 2 * stats.t(5).ppf((1 + p) / 2)
    )
