"""Two processes learn what one would: BatchNorm, gradients, shares."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mobilens.training.distributed import SyncBatchNorm2d, World, distribute, joined_world

WORKER = Path(__file__).with_name("distributed_worker.py")
SPEC = importlib.util.spec_from_file_location("distributed_worker", WORKER)
worker = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(worker)


@given(st.integers(0, 500), st.integers(1, 16))
def test_shares_cover_a_batch_once_and_evenly(length, size):
    shares = [World(rank, size).share(length) for rank in range(size)]
    taken = [index for share in shares for index in range(length)[share]]
    assert taken == list(range(length))
    lengths = [len(range(length)[share]) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_one_process_alone_leads_and_agrees_with_itself():
    world = World()
    assert world.leads
    assert (world.agree(3), world.mean(0.5)) == (3, 0.5)
    world.wait()


def test_without_torchrun_no_world_is_joined(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with joined_world(torch.device("cpu")) as world:
        assert world == World()
        assert not torch.distributed.is_initialized()


def test_one_process_keeps_its_net():
    net = nn.Sequential(nn.BatchNorm2d(3))
    assert distribute(net, World(), torch.device("cpu")) is net
    assert type(net[0]) is nn.BatchNorm2d


def test_a_shared_norm_has_the_very_parameters():
    plain = nn.BatchNorm2d(3, eps=1e-2, momentum=0.3).eval()
    shared = SyncBatchNorm2d.sharing(plain)
    assert shared.weight is plain.weight
    assert shared.running_var is plain.running_var
    assert (shared.eps, shared.momentum, shared.training) == (1e-2, 0.3, False)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found, by rank."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, folder],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def one():
    """What one process finds on the whole batch."""
    return worker.findings(None)


@pytest.mark.slow
def test_every_process_knows_its_place(two):
    assert [(found["rank"], found["size"], found["leads"]) for found in two] == [
        (0, 2, True),
        (1, 2, False),
    ]


@pytest.mark.slow
def test_processes_agree_on_the_leaders_value_and_on_the_mean(two):
    assert [found["agreed"] for found in two] == [10, 10]
    assert [found["mean"] for found in two] == [0.5, 0.5]


def close(got, expected, tolerance):
    return (got - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", worker.BATCH_NORM_CASES)
def test_batch_norm_over_two_processes_is_that_of_one(one, two, case):
    expected, parts = one["norm"][case], [found["norm"][case] for found in two]
    # Values of many digits before the point have fewer behind it.
    tolerance = 1e-3 if case == "far from zero" else 1e-5
    for name in ("out", "input_grad"):
        assert close(torch.cat([part[name] for part in parts]), expected[name], tolerance), name
    for name in ("weight_grad", "bias_grad"):
        assert close(sum(part[name] for part in parts), expected[name], tolerance), name
    for part in parts:
        assert close(part["running_mean"], expected["running_mean"], 1e-6)
        assert close(part["running_var"], expected["running_var"], tolerance)
        assert close(part["answer"], expected["answer"], tolerance)
        assert part["count"] == 1


@pytest.mark.slow
def test_statistics_are_the_same_bits_in_every_process(two):
    for case in worker.BATCH_NORM_CASES:
        for name in ("running_mean", "running_var"):
            assert torch.equal(two[0]["norm"][case][name], two[1]["norm"][case][name])


@pytest.mark.slow
def test_a_nets_gradients_over_two_processes_are_those_of_one(one, two):
    largest = max(value.abs().max() for name, value in one["net"].items() if "grad." in name)
    for found in two:
        assert found["net"].keys() == one["net"].keys()
        for name, expected in one["net"].items():
            got = found["net"][name].float()
            scale = largest if "grad." in name else expected.float().abs().max().clamp(min=1e-3)
            assert (got - expected).abs().max() <= 1e-4 * scale, name
