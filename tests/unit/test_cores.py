"""Cores that this process may use."""

import os

import pytest

from mobilens import cores


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_a_container_gets_its_share(tmp_path, monkeypatch, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(cores, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores.usable_cores() == expected


def test_threads_that_wait_give_way_unless_the_environment_says_otherwise(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        # Set first, so that what the function sets is taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    cores.give_way()
    assert os.environ["GOMP_SPINCOUNT"] == cores.SPIN
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    cores.give_way()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_a_policy_of_waiting_stays(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    cores.give_way()
    assert "GOMP_SPINCOUNT" not in os.environ
