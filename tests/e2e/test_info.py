import json

import pytest

from mobilens.cli import main
from mobilens.spec.zoo import list_models


def test_lists_every_model(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in list_models())


def test_json_of_one_model(capsys):
    arguments = ["info", "mobilenet_v3_large", "--width", "0.5", "--resolution", "224", "--json"]
    assert main(arguments) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["model"] == "mobilenet_v3_large"
    assert (value["width"], value["resolution"]) == (0.5, 224)
    assert (value["params"], value["macs"]) == (2689904, 73663088)
    assert value["peak_activation_bytes"] == max(
        row["peak_activation_bytes"] for row in value["rows"]
    )
    assert sum(row["params"] for row in value["rows"]) == value["params"]
    assert sum(row["macs"] for row in value["rows"]) == value["macs"]


def test_width_rule_changes_v3(capsys):
    main(["info", "mobilenet_v3_large", "--width", "0.5", "--width-rule", "torchvision", "--json"])
    assert json.loads(capsys.readouterr().out)["params"] == 1734576


def test_table_shows_what_separability_saved(capsys):
    assert main(["info", "mobilenet_v1"]) == 0
    out = capsys.readouterr().out
    assert "params             4,231,976" in out
    assert "MACs               568,740,352" in out
    # Row 6 is 3x3 depthwise and pointwise to 512: 512·9/(512+9).
    assert "8.84x" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mobilenet_v2", "--width", "0"], "width multiplier is 0.0"),
        (["mobilenet_v2", "--resolution", "0"], "resolution is (0, 0)"),
        (["mobilenet_v5"], "no model is named 'mobilenet_v5'"),
        (["mobilenet_v2", "--classes", "0"], "head (classifier): num_classes is 0"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments, words, capsys):
    assert main(["info", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
