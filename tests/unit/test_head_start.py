"""The new head alone on frozen features."""

import copy

import pytest
import torch

from mobilens.nn.backbone import build
from mobilens.spec.zoo import build_spec
from mobilens.tasks import torch_task
from mobilens.training.head_start import train_head
from mobilens.training.recipe import Recipe

TASK = torch_task("classify")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return build(build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3))


def data():
    """Images whose first channel tells their class."""
    torch.manual_seed(1)
    classes = torch.arange(30) % 3
    images = 0.3 * torch.randn(30, 3, 32, 32)
    images[:, 0] += (classes - 1).view(-1, 1, 1)
    return images, torch.eye(3)[classes]


def batches():
    images, targets = data()
    yield images[:20], targets[:20]
    yield images[20:], targets[20:]


def start(net, penalty=1e-3, class_weights=None):
    recipe = Recipe("head", epochs=1, head_penalty=penalty, label_smoothing=0.0)
    train_head(net, TASK, batches, recipe, class_weights=class_weights)


def test_the_head_learns_and_nothing_else_changes(net):
    before = copy.deepcopy(net.state_dict())
    images, targets = data()
    loss = TASK.loss(net.eval()(images), targets).mean()
    start(net)
    assert TASK.loss(net.eval()(images), targets).mean() < loss - 0.01
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]) == (not name.startswith("head.classifier")), name


def test_each_image_and_its_mirror_pass_the_net_once(net):
    seen = []
    net.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    start(net)
    images, _ = data()
    assert [len(one) for one in seen] == [20, 20, 10, 10]
    assert torch.equal(seen[1], images[:20].flip(3))
    assert not net.head.classifier._forward_pre_hooks


def test_the_head_found_does_not_hang_on_where_it_began(net):
    other = copy.deepcopy(net)
    torch.nn.init.normal_(other.head.classifier.weight)
    start(net)
    start(other)
    assert torch.equal(net.head.classifier.weight, other.head.classifier.weight)


def test_a_penalty_holds_the_weights_down(net):
    other = copy.deepcopy(net)
    start(net)
    start(other, penalty=1.0)
    assert other.head.classifier.weight.norm() < net.head.classifier.weight.norm() / 2


def test_the_loss_is_at_its_minimum(net):
    start(net, penalty=0.1)
    images, targets = data()
    layer, both = net.head.classifier, torch.cat([images, images.flip(3)])
    with torch.no_grad():
        features = net.eval().head.pool(net.backbone(both)[-1])
    losses = TASK.loss(layer(features), torch.cat([targets, targets]))
    scaled = layer.weight * features.std()
    (losses.mean() + 0.05 * scaled.square().sum()).backward()
    assert layer.weight.grad.abs().max() < 1e-4


def test_class_weights_reach_the_loss(net):
    other = copy.deepcopy(net)
    # Where the penalty is small the head tells all three apart, and weights change nothing.
    start(net, penalty=1.0)
    start(other, penalty=1.0, class_weights=torch.tensor([10.0, 1.0, 1.0]))
    images, _ = data()
    heavy, plain = (torch.softmax(one.eval()(images), 1).mean(0)[0] for one in (other, net))
    assert heavy > plain + 0.002
