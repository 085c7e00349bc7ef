"""Scalar functions of the kernels against arithmetic of many digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from numba import njit

from dotwin.inference.nuts import special


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy")
def _exponentials(x: np.ndarray, up: np.ndarray, logs: np.ndarray) -> float:
    """Call the branch-free functions as the kernels do, from a loop whose sums may be reordered."""
    total = 0.0
    for i in range(x.size):
        up[i] = special.exp(x[i])
        logs[i] = special.log1p_unit(special.exp(-abs(x[i])))
        total += up[i]
    return total


def test_exponentials_keep_full_precision_in_reordered_loops() -> None:
    x = np.concatenate([np.linspace(-700.0, 700.0, 20_001), np.linspace(-1.0, 1.0, 2001)])
    up, logs = np.empty(x.size), np.empty(x.size)
    _exponentials(x, up, logs)
    np.testing.assert_allclose(up, np.exp(x), rtol=5e-16)
    np.testing.assert_allclose(logs, np.log1p(np.exp(-np.abs(x))), rtol=1e-15)


def test_exponential_is_constant_beyond_the_range_of_doubles() -> None:
    assert special.exp(5000.0) == special.exp(709.0) > 1e307
    assert 0.0 < special.exp(-5000.0) == special.exp(-708.0) < 1e-306


@pytest.mark.parametrize("a", [1e-8, 0.3, 1.0, 2.0, 9.9, 11.0, 1e4, 1e9])
def test_gammas_and_their_derivatives_are_precise(a: float) -> None:
    with mp.workdps(60):
        exact = mp.mpf(a)
        value, slope = special.lgamma_digamma(a)
        assert value == pytest.approx(float(mp.loggamma(exact)), rel=1e-14, abs=1e-14)
        assert slope == pytest.approx(float(mp.digamma(exact)), rel=1e-14, abs=1e-14)
        for n in (0, 1, 5, 8, 9, 40, 3000):
            gammas = mp.loggamma(exact + n) - mp.loggamma(exact)
            digammas = mp.digamma(exact + n) - mp.digamma(exact)
            value, slope = special.log_rising(a, float(n))
            assert value == pytest.approx(float(gammas), rel=1e-14, abs=1e-13)
            assert slope == pytest.approx(float(digammas), rel=1e-13)
            value, slope = special.log_rising_over_power(a, float(n))
            rest = gammas - n * mp.log(exact)
            assert value == pytest.approx(float(rest), rel=1e-13, abs=1e-12)
            # Times a: what the derivative in log a is.
            assert a * slope == pytest.approx(float(exact * digammas - n), rel=1e-12, abs=1e-12)
        constant, slope = special.gamma_constant(a)
        exact_constant = exact * mp.log(exact) - exact - mp.loggamma(exact)
        assert constant == pytest.approx(float(exact_constant), rel=1e-14, abs=1e-13)
        assert slope == pytest.approx(float(mp.log(exact) - mp.digamma(exact)), rel=1e-13)


@pytest.mark.parametrize("z", [-40.0, -5.0, -1.0, 0.0, 2.0, 12.0, 29.9, 30.1, 300.0])
def test_normal_tail_and_its_derivative_are_precise(z: float) -> None:
    with mp.workdps(60):
        tail = mp.erfc(mp.mpf(z) / mp.sqrt(2)) / 2
        value, slope = special.log_normal_tail(z)
        assert value == pytest.approx(float(mp.log(tail)), rel=1e-14)
        assert slope == pytest.approx(float(-mp.npdf(mp.mpf(z)) / tail), rel=1e-12)


@pytest.mark.parametrize("nu", [2.0, 2.01, 3.0, 7.5, 40.0, 300.0])
@pytest.mark.parametrize("z", [-200.0, -11.0, -2.0, -0.5, 0.0, 0.3, 1.0, 4.0, 30.0, 1e4])
def test_student_tail_and_its_derivatives_are_precise(z: float, nu: float) -> None:
    def log_tail(z: mp.mpf, nu: mp.mpf) -> mp.mpf:
        both = mp.betainc(nu / 2, mp.mpf(1) / 2, 0, nu / (nu + z * z), regularized=True)
        return mp.log(both / 2 if z >= 0 else 1 - both / 2)

    with mp.workdps(50):
        constants = (*special.student_constant(nu), special.student_series(nu))
        value, by_z, by_nu = special.log_student_tail(z, nu, *constants)
        exact, at = mp.mpf(z), mp.mpf(nu)
        tail = log_tail(exact, at)
        power = (1 + exact**2 / at) ** (-(at + 1) / 2)
        density = power / mp.sqrt(at) / mp.beta(at / 2, mp.mpf(1) / 2)
        assert value == pytest.approx(float(tail), rel=2e-13, abs=1e-15)
        assert by_z == pytest.approx(float(-density / mp.exp(tail)), rel=1e-12)
        expected = float(mp.diff(lambda n: log_tail(exact, n), at))
        assert by_nu == pytest.approx(expected, rel=1e-11, abs=1e-15)
