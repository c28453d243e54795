"""What every recipe in the registry must do."""

import dataclasses
import importlib
import json
import math

import pytest

from mobilens.errors import UnknownNameError
from mobilens.observer import SilentObserver
from mobilens.training.recipe import OF_TASK, RECIPES, Recipe, build_recipe
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings

PUBLISHED = [name for name, place in RECIPES.items() if isinstance(place, str)]


@pytest.fixture(scope="module")
def photos(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("recipes") / "photos", count=8)


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_called_what_it_is_looked_up_by(name):
    assert build_recipe(name).name == name


@pytest.mark.parametrize("name", RECIPES)
def test_it_goes_to_json_and_back(name):
    recipe = build_recipe(name)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_TASK.values()])
def test_it_trains(name, photos, tmp_path):
    settings = TrainSettings(
        source=(str(photos),),
        recipe=build_recipe(name),
        epochs=1,
        batch_size=8,
        width=0.25,
        resolution=32,
        weights="none",
        device="cpu",
    )
    result = run_training(settings, tmp_path, SilentObserver())
    asked = build_recipe(name).without_weights().with_epochs(1)
    assert result.settings.recipe == dataclasses.replace(asked, batch_size=8)
    assert result.checkpoint.is_file()
    assert [row["epoch"] for row in result.history] == [1]
    assert all(math.isfinite(value) for value in result.history[0].values())


@pytest.mark.parametrize(("task", "name"), OF_TASK.items())
def test_a_recipe_of_another_task_trains_that(task, name, write_scenes, tmp_path):
    settings = TrainSettings(
        source=(str(write_scenes(tmp_path / "scenes", task)),),
        task=task,
        epochs=1,
        batch_size=4,
        width=0.25,
        resolution=64,
        weights="none",
        device="cpu",
    )
    result = run_training(settings, tmp_path / "run", SilentObserver())
    assert result.settings.recipe.name == name
    assert result.checkpoint.is_file()
    assert all(math.isfinite(value) for value in result.history[0].values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_says_where_it_comes_from(name):
    text = getattr(importlib.import_module(RECIPES[name]), name).__doc__
    for heading in ("Hardware:", "Time:", "Score:"):
        assert heading in text


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Recipe)])
def test_every_field_is_some_recipes(field):
    plain = Recipe("plain", epochs=1)
    assert any(getattr(build_recipe(name), field) != getattr(plain, field) for name in RECIPES), (
        f"no recipe sets {field}"
    )


def test_a_head_of_another_task_is_refused(photos, tmp_path):
    settings = TrainSettings(source=(str(photos),), head="lraspp", weights="none", device="cpu")
    with pytest.raises(UnknownNameError, match="no head of classify is named 'lraspp'"):
        run_training(settings, tmp_path, SilentObserver())
