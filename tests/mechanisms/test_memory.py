"""Working memory is used again, never while somebody looks at it, and not without bound."""

from __future__ import annotations

import numpy as np

from dotwin.mechanisms import memory
from dotwin.mechanisms.memory import room

SHAPE = (128, 512)


def where(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_what_an_array_leaves_behind_serves_the_next_one() -> None:
    memory._kept.clear()
    first = room(SHAPE)
    place = where(first)
    del first
    assert where(room(SHAPE)) == place


def test_memory_that_a_view_still_looks_at_is_not_given_away() -> None:
    first = room(SHAPE)
    first[:] = 1.0
    view = first[3:5, ::2]
    del first
    other = room(SHAPE)
    other[:] = 2.0
    assert (view == 1.0).all()


def test_no_more_is_kept_than_the_bound() -> None:
    for kept, most, size in (
        (memory._kept, memory._MOST, 2**18),  # 80 sizes of 2 MiB or more
        (memory._kept_large, memory._MOST_LARGE, 2**20),  # and of 8 MiB
    ):
        kept.clear()
        many = [room((size + i,)) for i in range(80)]
        del many
        assert 0 < sum(each * len(several) for each, several in kept.items()) <= most
        kept.clear()


def test_more_than_the_bound_is_given_back_at_once() -> None:
    memory._kept_large.clear()
    large = room((memory._MOST_LARGE // 8 + 1,))
    del large
    assert not any(memory._kept_large.values())


def test_small_arrays_are_numpys_own() -> None:
    assert room((3, 4)).base is None
