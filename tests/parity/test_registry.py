"""The registry says of published weights what their own libraries say."""

import pytest
import timm
import torchvision

from mobilens.nn.weights.registry import ENTRIES

HUB = [entry for entry in ENTRIES.values() if entry.host == "hub"]
TORCHVISION = [entry for entry in ENTRIES.values() if entry.host == "torchvision"]


@pytest.mark.parametrize("entry", HUB, ids=lambda entry: entry.name)
def test_timm(entry):
    config = timm.models.get_pretrained_cfg(entry.file.removeprefix("timm/"))
    ours = entry.preprocessing
    assert config.hf_hub_id == entry.file
    assert config.num_classes == 1000
    assert config.license.lower() == entry.licence.lower()
    assert (config.mean, config.std, config.interpolation) == (
        ours.mean,
        ours.std,
        ours.interpolation,
    )
    trained = config.input_size[-1], config.crop_pct
    tested = (config.test_input_size or config.input_size)[-1], config.test_crop_pct
    assert (ours.size[0], ours.crop_fraction) in (trained, tested)


@pytest.mark.parametrize("entry", TORCHVISION, ids=lambda entry: entry.name)
def test_torchvision(entry):
    tag = entry.name.rpartition("_")[2].upper()
    weights = torchvision.models.get_model_weights(entry.model)[f"IMAGENET1K_{tag}"]
    transforms, ours = weights.transforms(), entry.preprocessing
    assert weights.url.rpartition("/")[2] == entry.file
    assert weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] == entry.top1
    assert tuple(transforms.mean) == ours.mean
    assert tuple(transforms.std) == ours.std
    assert transforms.interpolation.value == ours.interpolation
    assert ours.size == (transforms.crop_size[0],) * 2
    assert ours.crop_fraction == pytest.approx(transforms.crop_size[0] / transforms.resize_size[0])


def test_every_torchvision_weight_is_listed():
    names = ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
    theirs = {
        weights.url.rpartition("/")[2]
        for name in names
        for weights in torchvision.models.get_model_weights(name)
    }
    assert {entry.file for entry in TORCHVISION} == theirs
