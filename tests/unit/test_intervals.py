"""Intervals of medians."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.vision import intervals


@pytest.mark.parametrize(
    ("count", "first"),
    # Places of the lower end, as tables of the sign test have them.
    [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (50, 18)],
)
def test_an_interval_lies_between_two_of_the_values(count, first):
    values = [float(value) for value in range(1, count + 1)]
    found = intervals.median(values[::-1])
    assert (found.low, found.high) == (first, count + 1 - first)
    assert found.value == (count + 1) / 2


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30))
def test_the_ends_never_cross(values):
    found = intervals.median(values)
    assert found.low <= found.value <= found.high


def test_nineteen_of_twenty_hold_the_median():
    rounds = np.random.default_rng(0).exponential(size=(2000, 9))  # its median is ln 2
    held = [found.low <= np.log(2) <= found.high for found in map(intervals.median, rounds)]
    assert 0.94 < np.mean(held) < 0.98
