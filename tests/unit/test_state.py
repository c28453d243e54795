"""The state between two epochs: everything that the next one depends on."""

import copy
import json

import pytest
import torch

from mobilens.errors import WeightsError
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import load_tensors, save_tensors
from mobilens.spec.zoo import build_spec
from mobilens.training.optim import WeightAverage, build_optimizer
from mobilens.training.recipe import Recipe
from mobilens.training.soup import WeightSoup
from mobilens.training.state import Progress, load_state, save_state

SPEC = build_spec("mobilenet_v3_small", width_mult=0.25, resolution=32, num_classes=3)
OPTIMIZERS = ["adamw", "sgd", "rmsprop"]


class Training:
    """A net with all that changes while it learns."""

    def __init__(self, optimizer, seed=0):
        torch.manual_seed(seed)
        self.net = build(SPEC)
        recipe = Recipe("test", epochs=2, optimizer=optimizer, lr=0.01, optimizer_eps=1e-3)
        self.optimizer = build_optimizer(self.net, recipe)
        self.average = WeightAverage(self.net, 0.9)
        self.soup = WeightSoup(self.net, keep_origin=True)
        self.steps = 0
        self.progress = Progress(fingerprint="abc")

    def step(self):
        torch.manual_seed(self.steps)
        images = torch.randn(8, 3, 32, 32).to(memory_format=torch.channels_last)
        loss = self.net.train()(images).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        self.average.update(self.net, self.steps)

    def save(self, folder):
        save_state(folder, self.net, self.average, self.soup, self.optimizer, self.progress)

    def load(self, folder):
        progress = load_state(folder, self.net, self.average, self.soup, self.optimizer)
        self.progress = progress or self.progress
        return progress

    def parameters(self):
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def weights(self):
        return tuple(
            copy.deepcopy(tensors)
            for tensors in (
                dict(self.net.state_dict()),
                self.average.tensors,
                self.soup.origin,
                self.soup.mean,
            )
        )


def equal(one, other):
    return all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_goes_on_to_the_same_bits(optimizer, tmp_path):
    whole = Training(optimizer)
    for _ in range(3):
        whole.step()
    whole.save(tmp_path)
    for _ in range(3):
        whole.step()
    resumed = Training(optimizer, seed=1)
    assert resumed.load(tmp_path) == whole.progress
    resumed.steps = 3
    for _ in range(3):
        resumed.step()
    assert equal(resumed.weights(), whole.weights())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_loading_keeps_memory_formats(optimizer, tmp_path):
    one = Training(optimizer)
    one.step()
    one.save(tmp_path)
    other = Training(optimizer)
    other.load(tmp_path)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        slots = one.optimizer.state[a], other.optimizer.state[b]
        tensors = [name for name, value in slots[0].items() if isinstance(value, torch.Tensor)]
        assert tensors
        assert [slots[1][name].stride() for name in tensors if slots[0][name].ndim] == [
            b.stride() for name in tensors if slots[0][name].ndim
        ]


def test_the_same_state_is_the_same_bytes(tmp_path):
    training = Training("adamw")
    training.step()
    training.save(tmp_path)
    first = (tmp_path / "last.safetensors").read_bytes()
    again = Training("adamw", seed=1)
    again.load(tmp_path)
    again.save(tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == first


def test_progress_is_kept(tmp_path):
    training = Training("sgd")
    training.progress = Progress(2, [{"epoch": 1, "loss": 0.1 + 0.2}], 1, [0.5, -0.25], "f")
    training.save(tmp_path)
    assert Training("sgd").load(tmp_path) == training.progress


def test_before_the_first_epoch_there_is_nothing(tmp_path):
    assert Training("sgd").load(tmp_path) is None


def test_a_state_saved_before_the_first_step_loads(tmp_path):
    training = Training("sgd")
    training.save(tmp_path)
    assert Training("sgd").load(tmp_path).epoch == 0


def test_finished_cycles_are_kept(tmp_path):
    one = Training("sgd")
    for _ in range(2):
        one.step()
        one.soup.add(one.average.tensors)
    one.save(tmp_path)
    other = Training("sgd", seed=1)
    other.load(tmp_path)
    assert other.soup.cycles == 2
    assert other.soup.mean
    assert equal(other.weights(), one.weights())


def test_the_best_so_far_has_the_highest_score_and_among_equals_the_lowest_loss():
    progress = Progress()
    reached = [([0.5, -0.3], True), ([0.5, -0.4], False), ([0.5, -0.2], True), ([0.4, -0.1], False)]
    for epoch, (scores, best) in enumerate(reached, start=1):
        assert progress.passed({"epoch": epoch}, scores) is best
    assert (progress.epoch, progress.best_epoch) == (4, 3)
    assert progress.best_scores == [0.5, -0.2]
    assert [row["epoch"] for row in progress.history] == [1, 2, 3, 4]


def test_the_state_of_another_model_is_refused(tmp_path):
    save_tensors(
        {"net.a": torch.zeros(1)},
        tmp_path / "last.safetensors",
        {"mobilens_state": json.dumps(vars(Progress()) | {"cycles": 0})},
    )
    with pytest.raises(WeightsError, match="is the state of another model"):
        Training("sgd").load(tmp_path)


@pytest.mark.parametrize("lost", ["average.", "origin.", "optimizer.0."])
def test_a_state_that_lacks_a_part_is_refused(tmp_path, lost):
    training = Training("adamw")
    training.step()
    training.save(tmp_path)
    path = tmp_path / "last.safetensors"
    tensors, metadata = load_tensors(path)
    key = next(key for key in tensors if key.startswith(lost))
    others = {name: tensor for name, tensor in tensors.items() if name != key}
    if lost == "optimizer.0.":
        others = {**others, "optimizer.99999.exp_avg": tensors[key]}
    save_tensors(others, path, metadata)
    with pytest.raises(WeightsError, match="is the state of another model"):
        Training("adamw").load(tmp_path)


def test_a_state_with_a_strange_part_is_refused(tmp_path):
    values = json.dumps(vars(Progress()) | {"cycles": 0})
    save_tensors(
        {"moment.a": torch.zeros(1)}, tmp_path / "last.safetensors", {"mobilens_state": values}
    )
    with pytest.raises(WeightsError, match="is not the state of a training run"):
        Training("sgd").load(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"mobilens": "{}"},
        {"mobilens_state": "{"},
        {"mobilens_state": "{}"},
        {"mobilens_state": '{"moment": 3}'},
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, metadata):
    save_tensors({"a": torch.zeros(1)}, tmp_path / "last.safetensors", metadata)
    with pytest.raises(WeightsError, match="is not the state of a training run"):
        Training("sgd").load(tmp_path)


def test_a_file_cut_short_is_refused(tmp_path):
    training = Training("sgd")
    training.save(tmp_path)
    path = tmp_path / "last.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="is not a readable safetensors file"):
        training.load(tmp_path)
