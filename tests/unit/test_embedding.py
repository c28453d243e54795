"""Embeddings: decoding, figures of pairs, losses by margins, and data with other identities."""

import numpy as np
import pytest
import torch
from PIL import Image

from mobilens.data.dataset import load_split, load_splits
from mobilens.errors import DataError, MobilensError
from mobilens.spec.task import TaskSpec
from mobilens.spec.zoo import build_spec
from mobilens.tasks.embedding import TASK
from mobilens.tasks.embedding.net import EmbeddingNet
from mobilens.vision import embedding
from mobilens.vision.embedding_scores import Pairs, area, nearest

SPEC = TaskSpec("embed", ())


def answers(vectors):
    return embedding.decode({"embeddings": np.array(vectors, np.float32)}, SPEC)


def scores_of(vectors, targets):
    metric = embedding.new_metric(SPEC)
    metric.update(answers(vectors), targets)
    return metric.result()


def test_vectors_come_to_length_one_whatever_they_were():
    short, nothing = answers([[0.003, 0.004], [0, 0]])
    assert short.vector.tolist() == pytest.approx([0.6, 0.8])
    assert nothing.vector.tolist() == [0, 0]
    assert short.similarity(short) == pytest.approx(1)


def test_outputs_of_another_kind_are_refused():
    for outputs, words in (
        ({"boxes": np.zeros((1, 2))}, r"outputs are named \['boxes'\]"),
        ({"embeddings": np.zeros((1, 4, 4))}, r"shape \(1, 4, 4\)"),
        ({"embeddings": np.full((1, 4), np.inf)}, "NaN or infinity"),
    ):
        with pytest.raises(MobilensError, match=words):
            embedding.decode(outputs, SPEC)


def test_the_area_is_the_share_of_pairs_in_order():
    stream = np.random.default_rng(0)
    same, other = stream.normal(0.5, 1, 40).round(1), stream.normal(0, 1, 60).round(1)
    wins = (same[:, None] > other).mean() + (same[:, None] == other).mean() / 2
    assert area(same, other) == pytest.approx(wins)
    weight = stream.integers(0, 3, 40).astype(float)
    again = np.repeat(same, weight.astype(int))
    assert area(same, other, weight) == pytest.approx(area(again, other))
    assert np.isnan(area(same, other, np.zeros(40)))


def test_identities_apart_are_all_told_apart():
    vectors = [[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.2], [0, 0, 1], [0.1, 0, 1]]
    scores = scores_of(vectors, [0, 0, 1, 1, 2, 2])
    assert (scores.auc, scores.accuracy, scores.rank_1, scores.equal_error) == (1, 1, 1, 0)
    assert scores.identities == 3
    assert 0.3 < scores.threshold < 1
    assert scores.true_at[0.1] == 1
    assert scores.true_at[0.01] is None  # of twelve pairs of two, a hundredth is none
    assert (scores.main.low, scores.main.high) == (1, 1)


def test_what_says_nothing_is_right_half_of_the_time():
    stream = np.random.default_rng(0)
    scores = scores_of(stream.normal(size=(120, 16)), list(np.arange(120) % 12))
    assert scores.auc == pytest.approx(0.5, abs=0.05)
    assert scores.main.low < scores.auc < scores.main.high
    assert scores.accuracy == pytest.approx(0.5, abs=0.06)
    assert scores.equal_error == pytest.approx(0.5, abs=0.06)
    assert scores.true_at[0.1] == pytest.approx(0.1, abs=0.06)


def test_of_a_large_album_whole_identities_are_measured(monkeypatch):
    monkeypatch.setattr("mobilens.vision.embedding_scores.MOST_IMAGES", 20)
    stream = np.random.default_rng(0)
    who = np.repeat(np.arange(30), 3)
    vectors = np.eye(30)[who] + 0.1 * stream.normal(size=(90, 30))
    pairs = Pairs.of(answers(vectors), list(who))
    people, counts = np.unique(pairs.who, return_counts=True)
    assert len(people) == 6
    assert (counts == 3).all()
    assert scores_of(vectors, list(who)).auc == 1
    two = Pairs.of(answers(vectors[:60]), [0] * 30 + [1] * 30)
    assert np.unique(two.who, return_counts=True)[1].tolist() == [10, 10]


def test_data_without_pairs_is_nothing_to_measure():
    for targets in ([0, 1], [0, 0], []):
        metric = embedding.new_metric(SPEC)
        metric.update(answers(np.eye(2)[: len(targets)]) if targets else [], targets)
        with pytest.raises(DataError, match="make no pairs"):
            metric.value()


def test_a_mistake_is_an_image_nearer_to_another_identity():
    found = embedding.mistakes(answers([[1, 0], [0.8, 0.6], [1, 0.05], [0, 1]]), [0, 1, 0, 1])
    assert [one is None for one in found] == [True, False, True, True]
    assert (found[1].expected, found[1].answered) == ("0.60", "another's image, at 0.83")
    assert found[1].severity == pytest.approx(0.114, abs=1e-3)
    own, _ = nearest(answers(np.eye(3)), [0, 1, 1])
    assert own[0] == -np.inf
    assert embedding.mistakes(answers(np.eye(3)), [0, 1, 1])[0] is None


def test_area_lost_is_measured_on_the_same_images():
    good = answers([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    bad = answers([[1, 0], [0, 1], [0, 1], [0.1, 1]])
    lost = embedding.lost(good, bad, [0, 0, 1, 1], SPEC)
    assert lost.value == pytest.approx(1 - embedding_auc(bad))
    assert lost.low <= lost.value <= lost.high
    assert embedding.lost(good, good, [0, 0, 1, 1], SPEC).value == 0


def embedding_auc(found):
    metric = embedding.new_metric(SPEC)
    metric.update(found, [0, 0, 1, 1])
    return metric.value()


def margins(angle, cosine, scale=10.0):
    return torch.tensor([angle, cosine, scale])


@pytest.mark.parametrize("own", [-0.99, -0.2, 0.0, 0.6, 0.95])
def test_margins_are_arcfaces_and_cosfaces(own):
    cosines = torch.tensor([[own, 0.3, -0.1]])
    raw = {"embeddings": torch.zeros(1, 4), "cosines": cosines}
    targets = torch.tensor([0])

    def loss(angle, cosine):
        return TASK.loss(raw | {"margins": margins(angle, cosine)}, targets).item()

    def plain(value):
        logits = 10 * torch.tensor([[value, 0.3, -0.1]])
        return torch.nn.functional.cross_entropy(logits, targets).item()

    assert loss(0, 0) == pytest.approx(plain(own), abs=1e-4)
    assert loss(0, 0.2) == pytest.approx(plain(own - 0.2), abs=1e-4)
    angle = np.arccos(own)
    if angle + 0.3 < np.pi:
        assert loss(0.3, 0) == pytest.approx(plain(np.cos(angle + 0.3)), abs=1e-3)
    assert loss(0.3, 0) > plain(own)


def test_of_others_the_loss_is_that_of_finding_ones_own_kind():
    vectors = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0]])
    losses = TASK.loss({"embeddings": vectors}, torch.tensor([0, 0, 1, 1, 2]))
    assert losses[-1] == 0  # it has no other image
    assert (losses[:4] < 1e-3).all()
    assert (TASK.loss({"embeddings": vectors}, torch.tensor([0, 1, 0, 1, 2]))[:4] > 5).all()


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_directions_of_classes_serve_the_loss_alone(kind):
    model = build_spec("mobilenet_v2", width_mult=0.35, resolution=64).with_head(kind, 5)
    net = TASK.build_net(model)
    assert isinstance(net, EmbeddingNet)
    own = sum(one.numel() for name, one in net.named_parameters() if name != "prototypes")
    assert own == model.cost().params
    images = torch.randn(4, 3, 64, 64)
    raw = net.train()(images)
    assert raw["cosines"].shape == (4, 5)
    assert raw["margins"].tolist() == pytest.approx(
        [0.3, 0, 32] if kind == "arcface" else [0, 0.2, 32]
    )
    assert list(net.eval()(images)) == ["embeddings"]
    TASK.loss(raw, torch.tensor([0, 1, 2, 3])).sum().backward()
    assert net.prototypes.grad.abs().sum() > 0


def album(folder, *people, images=4):
    for number, person in enumerate(people):
        (folder / person).mkdir(parents=True)
        for index in range(images):
            grey = 10 * number + index
            Image.new("L", (8, 8), grey).save(folder / person / f"{index}.png")


def test_whole_identities_are_held_out(tmp_path):
    album(tmp_path, *(f"p{number}" for number in range(10)))
    splits = load_splits(tmp_path, labels="identity", val_fraction=0.3)
    assert len(splits.val.class_names) == 3
    assert not set(splits.train.class_names) & set(splits.val.class_names)
    assert (len(splits.train), len(splits.val)) == (28, 12)
    assert "12 of 40 images are held out (all of 3 classes" in splits.notes[-1]
    assert {sample.target for sample in splits.val.samples} == {0, 1, 2}


def test_few_identities_are_two_to_learn_and_two_to_measure_on(tmp_path):
    album(tmp_path / "four", *"abcd")
    splits = load_splits(tmp_path / "four", labels="identity")
    assert (len(splits.train.class_names), len(splits.val.class_names)) == (2, 2)
    album(tmp_path / "three", *"abc")
    with pytest.raises(DataError, match="three has 3 classes and no part to measure on"):
        load_splits(tmp_path / "three", labels="identity")


def test_validation_may_have_other_identities(tmp_path):
    album(tmp_path / "train", "ann", "bob")
    album(tmp_path / "val", "cat", "dan", "eve")
    splits = load_splits(tmp_path, labels="identity")
    assert splits.train.class_names == ("ann", "bob")
    assert splits.val.class_names == ("cat", "dan", "eve")
    assert load_split(tmp_path, "val", (), labels="identity").class_names == ("cat", "dan", "eve")
