"""The ladder: what helped is kept, the first that is good enough is the last."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.compress.quantiser import Recipe
from mobilens.exporting.ladder import Rung, climb
from mobilens.exporting.workbench import Measured
from mobilens.vision.intervals import Estimate, paired_difference


def climbed(loss, allowed=0.01, layers=40, can_equalise=True):
    """Climb where ``loss`` says what a recipe costs; gives the recipes that were tried."""

    def measure(name, recipe):
        value = loss(recipe)
        lost = Estimate(value, value, value)
        return Rung(name, recipe, None, Measured(None, None, lost, 1, 1.0, 1.0))

    quantiser = SimpleNamespace(layers=layers, can_equalise=can_equalise, can_tune=False)
    return list(climb(quantiser, measure, allowed))


def test_the_first_that_is_good_enough_ends_it():
    rungs = climbed(lambda _: 0.01)
    assert [rung.name for rung in rungs] == ["a scale for each channel of filters"]
    rungs = climbed(lambda recipe: 0.0 if recipe.ranges == "entropy" else 0.5)
    assert len(rungs) == 4
    assert rungs[-1].recipe == Recipe("entropy", images=128)


def test_what_helped_is_kept():
    def loss(recipe):
        left = 0.5 - 0.1 * (recipe.ranges == "percentile") - 0.1 * recipe.rounding
        return left + 0.1 * recipe.bias - 0.1 * recipe.equalised - 0.05 * recipe.in_float

    rungs = climbed(loss)
    assert rungs[-1].recipe == Recipe(
        "percentile", 128, bias=False, rounding=True, equalised=True, in_float=4
    )
    assert [rung.recipe.in_float for rung in rungs[-4:]] == [1, 2, 3, 4]


def test_there_is_an_end():
    rungs = climbed(lambda _: 0.5, layers=10, can_equalise=False)
    assert [rung.recipe.in_float for rung in rungs if rung.recipe.in_float] == [1, 2, 3]
    assert not any(rung.recipe.equalised for rung in rungs)


def test_a_drop_is_a_difference_of_pairs():
    drop = paired_difference(10, 4, 500)
    assert drop.value == pytest.approx(0.012)
    # By hand: (10.5 - 4.5) / 502 +- 1.96 sqrt(15 - 36 / 502) / 502.
    assert (drop.low, drop.high) == pytest.approx((-0.003133, 0.027038), abs=1e-6)
    none = paired_difference(0, 0, 100)
    assert none.value == 0
    assert none.low == -none.high < 0


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 100))
def test_a_drop_lies_in_its_interval(lost, gained, same):
    drop = paired_difference(lost, gained, max(1, lost + gained + same))
    assert -1 <= drop.low <= drop.value <= drop.high <= 1
    back = paired_difference(gained, lost, max(1, lost + gained + same))
    assert (back.low, back.high) == pytest.approx((-drop.high, -drop.low))
