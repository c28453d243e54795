"""Parts that do not learn stay to the bit."""

import copy

import pytest
import torch
from torch import nn

from mobilens.nn.backbone import build
from mobilens.nn.layers import ConvNormAct
from mobilens.spec.zoo import build_spec
from mobilens.training.frozen import freeze, train_mode
from mobilens.training.optim import build_optimizer
from mobilens.training.recipe import Recipe


@pytest.fixture
def net():
    torch.manual_seed(0)
    return build(build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3))


def learn_a_step(net, recipe):
    freeze(net, recipe)
    optimizer = build_optimizer(net, recipe)
    train_mode(net, recipe)
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()


def changed(net, before):
    return {
        name
        for name, tensor in net.state_dict().items()
        if not torch.equal(tensor, before[name]) and "num_batches" not in name
    }


def test_parts_up_to_the_stride_stay_and_all_others_learn(net):
    before = copy.deepcopy(net.state_dict())
    learn_a_step(net, Recipe("frozen", epochs=1, frozen_stride=8))
    moved = changed(net, before)
    # V3-Small comes to stride 8 in its second block and stays there for the third.
    first = ("backbone.stem.", "backbone.blocks.0.", "backbone.blocks.1.", "backbone.blocks.2.")
    assert not {name for name in moved if name.startswith(first)}
    assert {
        name for name in before if ".running_mean" in name and not name.startswith(first)
    } <= moved
    weights = {name for name, _ in net.named_parameters() if name.endswith("conv.weight")}
    assert {name for name in weights if not name.startswith(first)} <= moved


def test_batchnorm_keeps_its_statistics_and_learns_its_scale(net):
    before = copy.deepcopy(net.state_dict())
    learn_a_step(net, Recipe("frozen", epochs=1, freeze_batchnorm=True))
    moved = changed(net, before)
    assert not {name for name in moved if "running" in name}
    assert {name for name, _ in net.named_parameters() if name.endswith("norm.weight")} <= moved


def test_nothing_is_frozen_by_default(net):
    before = copy.deepcopy(net.state_dict())
    learn_a_step(net, Recipe("plain", epochs=1))
    assert changed(net, before) == {name for name in before if "num_batches" not in name}


def test_parts_are_those_of_the_pyramid(net):
    backbone = net.backbone
    assert backbone.parts_up_to(0) == backbone.parts_up_to(1) == []
    assert backbone.parts_up_to(2) == [backbone.stem]
    assert len(backbone.parts_up_to(8)) == 1 + 3
    assert backbone.parts_up_to(32) == [backbone.stem, *backbone.blocks]


def test_without_weights_all_of_it_learns():
    frozen = {"head_penalty": 0.1, "frozen_stride": 8, "freeze_batchnorm": True}
    recipe = Recipe("x", epochs=2, cycles=2, blend=True, **frozen)
    assert recipe.without_weights() == Recipe("x", epochs=2)


def test_modes_are_those_of_the_parts(net):
    train_mode(net, Recipe("frozen", epochs=1, frozen_stride=2, freeze_batchnorm=True))
    assert not net.backbone.stem.training
    assert net.head.dropout.training
    assert not any(m.training for m in net.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("biased", [False, True])
def test_fixed_statistics_answer_and_learn_as_batchnorm_does(padding, groups, biased):
    torch.manual_seed(0)
    layer = ConvNormAct(8, 16, 3, 2, act="hard_swish", padding=padding, bn_eps=1e-3, groups=groups)
    for tensor, low in ((layer.norm.running_mean, -1.0), (layer.norm.running_var, 0.1)):
        nn.init.uniform_(tensor, low, 2.0)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    if biased:
        layer.conv.bias = nn.Parameter(torch.randn(16))
    layer = layer.double().eval()
    images = torch.randn(4, 8, 11, 11, dtype=torch.double, requires_grad=True)
    learners = [images, *layer.parameters()]

    apart = layer.act(layer.norm(layer.conv(images)))
    weights = torch.randn_like(apart)
    expected = torch.autograd.grad((apart * weights).sum(), learners)
    together = layer(images)
    gradients = torch.autograd.grad((together * weights).sum(), learners)

    assert not {fn for fn in graph(together) if "BatchNorm" in fn}
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(gradients, expected)


def graph(tensor):
    """Names of the operators that gave a tensor."""
    found, todo = set(), [tensor.grad_fn]
    while todo:
        fn = todo.pop()
        found.add(fn.name())
        todo += [earlier for earlier, _ in fn.next_functions if earlier is not None]
    return found
