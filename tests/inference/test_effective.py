"""Effective sample sizes of many parameters are ArviZ's of one after the other."""

import numpy as np
import pytest
from arviz_stats.base.array import array_stats

from dotwin.inference.effective import effective_sizes


def chains(count: int, draws: int, seed: int) -> np.ndarray:
    """Independent, slow, antithetic, copied, few-valued, disagreeing and constant chains."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((count, draws, 7))
    for k, memory in ((1, 0.95), (2, -0.6)):
        for t in range(1, draws):
            noise[:, t, k] += memory * noise[:, t - 1, k]
    noise[..., 3] = np.repeat(noise[:, : -(-draws // 3), 3], 3, axis=1)[:, :draws]
    noise[..., 4] = rng.poisson(0.7, (count, draws))
    noise[..., 5] += 2.0 * np.arange(count)[:, None]
    noise[..., 6] = 1.5
    return noise


@pytest.mark.parametrize(("count", "draws"), [(4, 500), (2, 333), (1, 1000), (4, 13)])
def test_sizes_are_those_of_arviz(count: int, draws: int) -> None:
    values = chains(count, draws, seed=1)
    bulk, tail = effective_sizes(values)
    for k in range(values.shape[2]):
        one = values[..., k]
        expected = array_stats.ess(one, chain_axis=0, draw_axis=1, method="bulk")
        assert bulk[k] == pytest.approx(float(expected), rel=1e-8), k
        expected = array_stats.ess(one, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95))
        assert tail[k] == pytest.approx(float(expected), rel=1e-8), k


def test_blocks_of_parameters_change_nothing() -> None:
    values = np.random.default_rng(2).standard_normal((2, 100, 300))
    bulk, tail = effective_sizes(values)
    for k in (0, 127, 128, 299):
        alone = effective_sizes(values[..., k : k + 1])
        assert (bulk[k], tail[k]) == (alone[0][0], alone[1][0])
