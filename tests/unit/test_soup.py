"""Several trainings from the same weights: their mean, and the way to it."""

import pytest
import torch
from torch import nn

from mobilens.training.soup import WeightSoup


def weights(value, count=0):
    return {"weight": torch.full((2,), float(value)), "batches": torch.tensor(count)}


class Counted(nn.Module):
    """One weight at 1, and a count."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("batches", torch.tensor(0))


def value(tensors):
    return tensors["weight"].unique().item()


@pytest.fixture
def soup():
    return WeightSoup(Counted(), keep_origin=True)


def test_one_cycle_alone_is_itself(soup):
    end = weights(3)
    assert soup.including(end) is end


def test_every_cycle_counts_alike(soup):
    for end in (3, 6):
        soup.add(weights(end))
    assert soup.cycles == 2
    assert value(soup.mean) == pytest.approx(4.5)
    assert value(soup.including(weights(0))) == pytest.approx(3)


def test_between_leads_from_the_origin_to_the_mean(soup):
    for share, expected in ((0, 1), (0.5, 2), (1, 3)):
        assert value(soup.between(weights(3), share)) == pytest.approx(expected)
    soup.add(weights(5))
    tensors = soup.between(weights(3, count=7), 0.5)
    assert value(tensors) == pytest.approx(2.5)
    assert tensors["batches"].item() == 7


def test_what_is_taken_in_does_not_follow_its_source(soup):
    end = weights(3)
    soup.add(end)
    end["weight"].zero_()
    assert value(soup.mean) == 3


def test_the_origin_does_not_follow_the_net_and_is_kept_only_if_asked_for():
    net = Counted()
    soup = WeightSoup(net, keep_origin=True)
    nn.init.zeros_(net.weight)
    assert value(soup.origin) == 1
    assert WeightSoup(net, keep_origin=False).origin == {}
