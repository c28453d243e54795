"""What decays, how the rate runs, and the moving average."""

import dataclasses

import pytest
import torch
from torch import nn

from mobilens.nn.backbone import build
from mobilens.spec.zoo import build_spec
from mobilens.training.optim import WeightAverage, build_optimizer, lr_factor, parameter_groups
from mobilens.training.recipe import Recipe

RECIPE = Recipe("test", epochs=10, lr=0.1, weight_decay=0.05, warmup_epochs=2)


@pytest.fixture(scope="module")
def net():
    # Attention, layer scale, squeeze-excite: between them every kind of parameter.
    return build(build_spec("mobilenet_v4_hybrid_medium", width_mult=0.1, num_classes=3))


def decay_by_name(net, recipe):
    groups = parameter_groups(net, recipe)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in groups)
    return {name: decay[id(p)] for name, p in net.named_parameters()}


@pytest.mark.parametrize(
    "model", ["mobilenet_v3_small", "mobilenet_v4_hybrid_medium", "mobilefacenet"]
)
def test_dense_weights_alone_decay(model):
    net = build(build_spec(model, width_mult=0.1, num_classes=3))
    modules = dict(net.named_modules())
    for name, decay in decay_by_name(net, RECIPE).items():
        owner = modules[name.rpartition(".")[0]]
        dense = isinstance(owner, (nn.Conv2d, nn.Linear)) and getattr(owner, "groups", 1) == 1
        assert decay == (0.05 if dense and name.endswith("weight") else 0), name


def test_depthwise_filters_decay_where_asked_for():
    net = build(build_spec("mobilenet_v2", width_mult=0.1, num_classes=3))
    recipe = dataclasses.replace(RECIPE, decay_depthwise=True)
    decays = decay_by_name(net, recipe)
    for name, parameter in net.named_parameters():
        assert (decays[name] > 0) == (parameter.ndim > 1), name


def test_every_parameter_is_in_one_group(net):
    groups = parameter_groups(net, RECIPE)
    given = [id(p) for group in groups for p in group["params"]]
    assert sorted(given) == sorted(id(p) for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("adamw", torch.optim.AdamW, {"betas": (0.7, 0.999), "eps": 1e-4}),
        ("sgd", torch.optim.SGD, {"momentum": 0.7, "nesterov": True}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.7, "alpha": 0.9, "eps": 1e-4}),
    ],
)
def test_optimisers_take_the_recipes_numbers(net, name, kind, expected):
    recipe = dataclasses.replace(RECIPE, optimizer=name, momentum=0.7, optimizer_eps=1e-4)
    optimizer = build_optimizer(net, recipe)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {key: group[key] for key in expected} == expected


def test_cosine_rises_over_the_warm_up_then_falls_to_zero():
    assert lr_factor(RECIPE, 0) == 0
    assert lr_factor(RECIPE, 1) == pytest.approx(0.5)
    assert lr_factor(RECIPE, 2) == pytest.approx(1)
    assert lr_factor(RECIPE, 6) == pytest.approx(0.5)
    assert lr_factor(RECIPE, 10) == pytest.approx(0)
    assert lr_factor(RECIPE, 10.1) == pytest.approx(0)


def test_every_cycle_warms_up_and_falls():
    recipe = dataclasses.replace(RECIPE, warmup_epochs=1, cycles=2)
    assert recipe.epochs == 10
    for first in (0, 5):
        assert lr_factor(recipe, first) == 0
        assert lr_factor(recipe, first + 0.5) == pytest.approx(0.5)
        assert lr_factor(recipe, first + 1) == pytest.approx(1)
        assert lr_factor(recipe, first + 3) == pytest.approx(0.5)
        assert lr_factor(recipe, first + 4.999) == pytest.approx(0, abs=1e-6)


def test_cosine_without_warm_up_starts_at_the_top():
    assert lr_factor(dataclasses.replace(RECIPE, warmup_epochs=0), 0) == 1


def test_warm_up_as_long_as_the_run_never_divides_by_zero():
    recipe = dataclasses.replace(RECIPE, warmup_epochs=10)
    assert lr_factor(recipe, 9.5) == pytest.approx(0.95)
    assert lr_factor(recipe, 10) == pytest.approx(1)


def test_steps_are_stairs():
    recipe = dataclasses.replace(
        RECIPE, schedule="step", gamma=0.94, gamma_epochs=2.5, warmup_epochs=1
    )
    assert lr_factor(recipe, 0.5) == pytest.approx(0.5)
    assert lr_factor(recipe, 2.49) == 1
    assert lr_factor(recipe, 2.5) == pytest.approx(0.94)
    assert lr_factor(recipe, 4.99) == pytest.approx(0.94)
    assert lr_factor(recipe, 9.9) == pytest.approx(0.94**3)


def linear():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2))
    nn.init.constant_(net[0].weight, 1.0)
    return net


def test_the_average_follows_fast_at_first_then_by_its_decay():
    net = linear()
    average = WeightAverage(net, decay=0.9)
    nn.init.constant_(net[0].weight, 2.0)
    average.update(net, step=1)
    # Early on: (1 + 1) / (10 + 1) of the past.
    early = 2 - 2 / 11
    assert average.tensors["0.weight"].unique().item() == pytest.approx(early)
    average.update(net, step=1000)
    assert average.tensors["0.weight"].unique().item() == pytest.approx(2 - 0.9 * (2 - early))


def test_the_average_holds_statistics_too_and_copies_counts():
    net = linear()
    average = WeightAverage(net, decay=0.5)
    net[1].running_mean.fill_(8.0)
    net[1].num_batches_tracked.fill_(5)
    average.update(net, step=1000)
    assert average.tensors["1.running_mean"].tolist() == [4.0, 4.0]
    assert average.tensors["1.num_batches_tracked"].item() == 5


def test_without_a_past_the_average_is_the_net():
    net = linear()
    average = WeightAverage(net, decay=0.0)
    nn.init.uniform_(net[0].weight)
    average.update(net, step=1)
    assert torch.equal(average.tensors["0.weight"], net[0].weight)


def test_the_average_starts_apart_from_the_net():
    net = linear()
    average = WeightAverage(net, decay=0.9)
    nn.init.zeros_(net[0].weight)
    assert average.tensors["0.weight"].unique().item() == 1
