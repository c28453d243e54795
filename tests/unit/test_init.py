"""Weights before training."""

import math

import pytest
from torch import nn

from mobilens.nn.backbone import build
from mobilens.nn.init import init_weights
from mobilens.spec.zoo import build_spec


@pytest.fixture
def net():
    return build(build_spec("mobilenet_v1", resolution=32, num_classes=10))


def test_by_default_gradients_keep_their_size(net):
    init_weights(net)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            # For a depthwise filter, the fan-out is its own area alone.
            fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1), (
                name
            )


def test_a_deviation_is_cut_at_two_of_it(net):
    init_weights(net, 0.09)
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            assert module.weight.abs().max() <= 0.18
            assert module.weight.std().item() == pytest.approx(0.88 * 0.09, rel=0.1)


def test_the_classifier_starts_near_no_opinion(net):
    init_weights(net)
    assert net.head.classifier.weight.abs().max() <= 0.02
    assert not net.head.classifier.bias.any()
