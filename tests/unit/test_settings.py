"""What a run was asked for: settled, written, read."""

import json
from dataclasses import replace

import pytest

from mobilens.errors import DataError, SpecError, UnknownNameError, UsageError
from mobilens.training.recipe import build_recipe
from mobilens.training.settings import TrainSettings, find_recipe

SETTINGS = TrainSettings(source=("photos",), epochs=7, lr=0.5, minutes=3.0, width=0.5)


def test_what_was_asked_for_takes_the_place_of_the_recipes_numbers():
    recipe = SETTINGS.resolved_recipe(has_weights=True)
    plain = build_recipe("transfer")
    assert (recipe.epochs, recipe.lr, recipe.batch_size) == (7, 0.5, plain.batch_size)


def test_without_a_name_the_recipe_hangs_on_whether_there_are_weights():
    plain = TrainSettings(source=("photos",))
    assert plain.resolved_recipe(has_weights=True) == build_recipe("transfer_v3_small")
    others = replace(plain, model="mobilenet_v2")
    assert others.resolved_recipe(has_weights=True) == build_recipe("transfer")
    assert plain.resolved_recipe(has_weights=False) == build_recipe("scratch")


def test_settled_settings_leave_nothing_to_choose():
    recipe = SETTINGS.resolved_recipe(has_weights=False)
    settled = SETTINGS.settled(recipe, "none")
    assert settled.resolved_recipe(has_weights=True) == recipe
    assert settled.weights == "none"
    assert settled.minutes is None
    assert settled.settled(recipe, "none") == settled


def test_paths_begin_where_the_run_was_started(tmp_path, monkeypatch):
    (tmp_path / "w.safetensors").touch()
    settings = replace(SETTINGS, weights="w.safetensors", directory=str(tmp_path))
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    found = settings.located()
    assert found.source == (str(tmp_path / "photos"),)
    assert found.weights == str(tmp_path / "w.safetensors")
    (tmp_path / "year=2024").mkdir()
    patterns = replace(settings, source=("cat=a/*.jpg", "~/dogs", "/else/*.png", "year=2024"))
    assert patterns.located().source == (
        f"cat={tmp_path}/a/*.jpg",
        "~/dogs",
        "/else/*.png",
        f"{tmp_path}/year=2024",
    )
    assert replace(settings, weights="auto").located().weights == "auto"
    monkeypatch.chdir(tmp_path)
    assert settings.located() == settings
    gone = replace(settings, directory=str(tmp_path / "gone"))
    assert gone.located() == gone


def test_the_model_is_the_one_asked_for():
    spec = SETTINGS.model_spec(num_classes=5)
    assert (spec.name, spec.width_mult, spec.num_classes) == ("mobilenet_v3_small", 0.5, 5)


def test_files_keep_everything(tmp_path):
    settled = SETTINGS.settled(build_recipe("torchvision"), "none")
    for settings in (SETTINGS, settled):
        settings.save(tmp_path / "recipe.json")
        assert TrainSettings.load(tmp_path / "recipe.json") == settings
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minutes": 0.0}, "minutes is 0.0\n  expected: above 0"),
        ({"seed": -1}, "seed is -1\n  expected: 0 to 4,294,967,295"),
        ({"seed": 2**32}, "seed is 4294967296\n  expected: 0 to 4,294,967,295"),
    ],
)
def test_impossible_numbers_are_refused(values, message):
    with pytest.raises(SpecError) as error:
        TrainSettings(source=("photos",), **values)
    assert str(error.value) == message


def test_boxes_alone_can_be_chosen_whatever_their_class(tmp_path):
    settings = TrainSettings(source=("photos",), task="detect", class_agnostic=True)
    settings.save(tmp_path / "recipe.json")
    assert TrainSettings.load(tmp_path / "recipe.json") == settings
    with pytest.raises(UsageError) as error:
        replace(settings, task="segment")
    assert str(error.value) == (
        "class-agnostic means nothing to the task 'segment', which answers no boxes\n"
        "  expected: --task detect, whose boxes are chosen among all\n"
        "  try: leave --class-agnostic out"
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*recipe.json"):
        TrainSettings.load(tmp_path / "recipe.json")


@pytest.mark.parametrize("text", ["", "{", "not json"])
def test_a_file_that_is_not_json_is_refused(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(DataError, match="cannot be read"):
        TrainSettings.load(tmp_path / "recipe.json")


@pytest.mark.parametrize("value", [[], 3, {"source": "photos"}, {"source": ["a"], "nesterov": 1}])
def test_a_file_of_something_else_is_refused(tmp_path, value):
    (tmp_path / "recipe.json").write_text(json.dumps(value))
    with pytest.raises(SpecError):
        TrainSettings.load(tmp_path / "recipe.json")


def test_a_recipe_is_found_by_name_or_in_the_file_of_a_run(tmp_path):
    assert find_recipe("mobilenet_v2") == build_recipe("mobilenet_v2")
    recipe = SETTINGS.resolved_recipe(has_weights=False)
    SETTINGS.settled(recipe, "none").save(tmp_path / "recipe.json")
    assert find_recipe(tmp_path / "recipe.json") == recipe
    with pytest.raises(UnknownNameError, match="no recipe is named 'mobilenet_v9'"):
        find_recipe("mobilenet_v9")


def test_a_run_killed_before_its_recipe_was_settled_names_none(tmp_path):
    TrainSettings(source=("photos",)).save(tmp_path / "recipe.json")
    with pytest.raises(DataError, match="names no recipe"):
        find_recipe(tmp_path / "recipe.json")
