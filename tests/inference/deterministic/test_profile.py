"""The transform of hyperparameters against distributions that are known."""

import numpy as np
import pytest
from scipy.stats import norm

from dotwin.inference.deterministic.profile import _from_table


@pytest.mark.parametrize("sd", [1.0, 0.1, 0.01, 1e-4])
def test_a_normal_becomes_standard_however_much_the_data_say(sd: float) -> None:
    z = np.array([-4.0, -2.6, -1.6, -0.8, 0.0, 0.8, 1.6, 2.6, 4.0])
    axis = _from_table(3.0 + sd * z, -0.5 * z**2)
    tau = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    # Between tabulated points the density is interpolated: quantiles agree to a few hundredths.
    np.testing.assert_allclose((axis.value(tau) - 3.0) / sd, tau, atol=0.05)


def test_the_tail_towards_a_spread_of_zero_is_exponential() -> None:
    h = np.array([-6.0, -4.0, -2.0, -1.0, 0.0, 0.5, 1.0, 1.5])
    # The log of a spread whose density is flat near 0 and falls off beyond 1.
    axis = _from_table(h, h - 0.5 * np.exp(2.0 * h))
    below = norm.cdf(-5.0)
    value = float(axis.value(np.array([-5.0]))[0])
    total = np.sqrt(np.pi / 2.0)
    # P(h < value) = P(|x| < e^value) for a standard normal x.
    assert np.exp(value) / total == pytest.approx(below, rel=0.1)
