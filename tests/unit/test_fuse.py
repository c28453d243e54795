"""BatchNorm folded into convolutions: the same function."""

import pytest
import torch
from torch import nn

from mobilens.nn.backbone import build
from mobilens.nn.fuse import fuse_batchnorm
from mobilens.nn.layers import ConvNormAct
from mobilens.spec.zoo import build_spec

MODELS = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "mobilenet_v4_hybrid_medium",
    "mobilefacenet",
]


def trained(name):
    """A small net whose statistics and scales are not those of a fresh one."""
    torch.manual_seed(0)
    net = build(build_spec(name, width_mult=0.25, resolution=64, num_classes=4))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    return net.eval()


@pytest.mark.parametrize("name", MODELS)
def test_a_fused_net_gives_the_same_answers(name):
    net = trained(name)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected, got = net(images), fuse_batchnorm(net)(images)
    assert expected.abs().max() > 1e-2
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("name", MODELS)
def test_no_norm_stays_behind_a_convolution(name):
    fused = fuse_batchnorm(trained(name))
    for module in fused.modules():
        if isinstance(module, ConvNormAct):
            assert isinstance(module.norm, nn.Identity)
            assert module.conv.bias is not None
    left = sum(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    # Attention normalises its input, before any convolution.
    assert (left > 0) == ("hybrid" in name)


def test_the_net_itself_stays_as_it_was():
    net = trained("mobilenet_v3_small").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    fused = fuse_batchnorm(net)
    after = net.state_dict()
    assert net.training
    assert not fused.training
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(one is not other for one in net.parameters() for other in fused.parameters())


def test_a_convolution_with_a_bias_keeps_it():
    layer = ConvNormAct(3, 4, 3, act="none", padding="symmetric", bn_eps=1e-3)
    layer.conv.bias = nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 0.5]))
    nn.init.uniform_(layer.norm.running_mean)
    nn.init.uniform_(layer.norm.running_var, 0.5, 2)
    layer.eval()
    images = torch.randn(1, 3, 8, 8)
    assert torch.allclose(fuse_batchnorm(layer)(images), layer(images), atol=1e-5)
