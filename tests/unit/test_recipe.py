"""Recipes: looked up by name, checked, written and read."""

import dataclasses
from dataclasses import replace

import pytest

from mobilens.errors import SpecError, UnknownNameError
from mobilens.training.augment import Augmentation
from mobilens.training.recipe import RECIPES, Recipe, build_recipe


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(UnknownNameError) as error:
        build_recipe("transfr")
    assert str(error.value) == (
        f"no recipe is named 'transfr'\n  expected: one of {', '.join(RECIPES)}\n  try: transfer"
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs is 0\n  expected: above 0"),
        ("batch_size", -1, "batch_size is -1\n  expected: above 0"),
        ("lr", 0.0, "lr is 0.0\n  expected: above 0"),
        ("lr", float("nan"), "lr is nan\n  expected: above 0"),
        ("gamma_epochs", 0.0, "gamma_epochs is 0.0\n  expected: above 0"),
        ("weight_decay", -0.1, "weight_decay is -0.1\n  expected: 0 or more"),
        ("cycles", 0, "cycles is 0\n  expected: 1 to the number of epochs"),
        ("cycles", 2, "cycles is 2\n  expected: 1 to the number of epochs"),
        ("head_penalty", -1, "head_penalty is -1.0\n  expected: 0 or more"),
        ("label_smoothing", 1.5, "label_smoothing is 1.5\n  expected: 0 to 1"),
        ("momentum", 1, "momentum is 1.0\n  expected: 0 to below 1"),
        ("lr", 1e300, "lr is 1e+300\n  expected: below 3e+38"),
        ("bn_epochs", -0.1, "bn_epochs is -0.1\n  expected: 0 or more"),
    ],
)
def test_impossible_numbers_are_refused(field, value, message):
    with pytest.raises(SpecError) as error:
        Recipe("odd", **({"epochs": 1} | {field: value}))
    assert str(error.value) == message


def test_cycles_share_the_epochs():
    recipe = Recipe("round", epochs=11, cycles=3)
    cycles = [recipe.cycle_at(epoch) for epoch in range(11)]
    assert cycles == [(0, 3)] * 3 + [(3, 7)] * 4 + [(7, 11)] * 4
    assert recipe.cycle_at(2.99) == (0, 3)
    assert recipe.cycle_at(11) == (7, 11)
    assert Recipe("plain", epochs=5).cycle_at(4.5) == (0, 5)


@pytest.mark.parametrize(
    ("epochs", "cycles", "warmup"), [(20, 2, 1), (8, 2, 0.8), (5, 1, 1), (2, 1, 0.4), (1, 1, 0.2)]
)
def test_fewer_epochs_mean_fewer_cycles_and_less_warm_up(epochs, cycles, warmup):
    recipe = Recipe("round", epochs=14, cycles=2).with_epochs(epochs)
    assert (recipe.epochs, recipe.cycles) == (epochs, cycles)
    assert recipe.warmup_epochs == pytest.approx(warmup)


@pytest.mark.parametrize("name", ["transfer", "transfer_v3_small"])
def test_asking_for_the_epochs_that_it_has_changes_nothing(name):
    recipe = build_recipe(name)
    assert recipe.with_epochs(recipe.epochs) == replace(recipe, min_steps=0)


@pytest.mark.parametrize(
    ("images", "epochs"),
    [
        (1_000, 10),
        (320, 10),
        (319, 10),
        (288, 12),
        (160, 20),
        (81, 34),
        (80, 34),
        (33, 40),
        (1, 40),
    ],
)
def test_few_images_are_seen_more_times_up_to_four(images, epochs):
    recipe = Recipe("few", epochs=10, min_steps=100).for_images(images)
    assert recipe.epochs == epochs
    # A settled recipe repeats the run, whatever it was reckoned from.
    assert recipe.for_images(images) == recipe


def test_epochs_that_were_asked_for_stay_on_few_images():
    recipe = Recipe("few", epochs=10, min_steps=100).with_epochs(3)
    assert recipe.for_images(1).epochs == 3


def test_json_keeps_everything():
    recipe = Recipe(
        "mine", epochs=3, lr=0.1, dropout=0.0, augmentation=Augmentation((0.5, 0.9), mixup=0.3)
    )
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_json_with_an_unknown_field_is_refused():
    value = build_recipe("transfer").to_json() | {"nesterov": True}
    with pytest.raises(SpecError, match="nesterov"):
        Recipe.from_json(value)


def test_json_with_a_wrong_type_is_refused():
    value = build_recipe("transfer").to_json() | {"optimizer": "lion"}
    with pytest.raises(SpecError, match="optimizer"):
        Recipe.from_json(value)


def test_augmentation_is_checked_when_read():
    value = build_recipe("transfer").to_json()
    value["augmentation"]["crop_scale"] = [0.9, 0.1]
    with pytest.raises(SpecError, match="crop_scale"):
        Recipe.from_json(value)


def test_a_recipe_is_a_value():
    assert build_recipe("scratch") == build_recipe("scratch")
    with pytest.raises(dataclasses.FrozenInstanceError):
        build_recipe("scratch").lr = 1.0


def test_batchnorm_averages_over_as_many_rounds_of_any_data_set():
    recipe = build_recipe("mobilenet_v1")
    # As published: 0.9997 a step at 20,018 steps an epoch.
    assert recipe.batchnorm_momentum(20_018) == pytest.approx(3e-4, rel=2e-3)
    assert recipe.batchnorm_momentum(2_002) == pytest.approx(3e-3, rel=5e-3)
    assert recipe.batchnorm_momentum(2) == build_recipe("scratch").batchnorm_momentum(2) == 0.1
