"""Tables of scores made from tables that all draws share, against tables that are solved for."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.mechanisms.kernels.compiled import kernel
from dotwin.mechanisms.score_tables import gamma_tables, student_t_tables

PLACES = np.linspace(-1.0, 1.0, 9)
ROWS = np.concatenate([np.exp(np.random.default_rng(1).uniform(0.0, 12.0, 40)), [1.0, 2.0, 64.0]])


def read(tables: np.ndarray) -> np.ndarray:
    """Evaluate every stretch of every table at some places."""
    stretches = tables.reshape(len(tables), -1, 12)
    return stretches @ PLACES[None, None] ** np.arange(12)[:, None]


@pytest.mark.parametrize(
    ("name", "tables"), [("gamma_tables", gamma_tables), ("student_t_tables", student_t_tables)]
)
def test_a_table_is_the_one_that_is_solved_for_to_the_last_digits(name, tables) -> None:
    made = tables(ROWS[:, None])
    solved = np.empty_like(made)
    kernel(name)(ROWS.copy(), solved)
    np.testing.assert_allclose(read(made), read(solved), rtol=1e-14, atol=5e-14)


def test_a_table_does_not_depend_on_the_other_draws() -> None:
    together = gamma_tables(ROWS[:, None])
    for i in range(len(ROWS)):
        np.testing.assert_array_equal(together[i], gamma_tables(ROWS[i])[0])


def test_parameters_without_a_table_have_missing_ones() -> None:
    assert np.isnan(gamma_tables([[0.5], [0.0], [-1.0], [np.nan], [np.inf]])).all()
    assert np.isnan(student_t_tables([[0.0], [-1.0], [np.nan], [np.inf]])).all()
