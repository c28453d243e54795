"""Keras's nets, their weights mapped over, give the same answers here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mobilens.nn.backbone import build
from mobilens.nn.weights import apply_pretrained, load_pretrained
from mobilens.spec.zoo import build_spec

from .reference import relative_difference

# Keras's V3 holds the stem at 16 channels above width 1, and makes the last convolution six times
# the row before it, where slim and timm scale and round 960 or 576; at these widths they agree.
CASES = [
    ("v1", "mobilenet_v1", 1.0),
    ("v1_025", "mobilenet_v1", 0.25),
    ("v1_050", "mobilenet_v1", 0.5),
    ("v2", "mobilenet_v2", 1.0),
    ("v2_035", "mobilenet_v2", 0.35),
    ("v2_140", "mobilenet_v2", 1.4),
    ("v3_large", "mobilenet_v3_large", 1.0),
    ("v3_large_075", "mobilenet_v3_large", 0.75),
    ("v3_large_minimalistic", "mobilenet_v3_large_minimalistic", 1.0),
    ("v3_small", "mobilenet_v3_small", 1.0),
    ("v3_small_050", "mobilenet_v3_small", 0.5),
    ("v3_small_minimalistic", "mobilenet_v3_small_minimalistic", 1.0),
]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """A folder of weights and answers that Keras wrote."""
    folder = tmp_path_factory.mktemp("keras")
    script = Path(__file__).with_name("keras_reference.py")
    done = subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@torch.inference_mode()
def difference(folder, name, net):
    with np.load(folder / f"{name}_answers.npz") as file:
        images, answers = (torch.from_numpy(file[key]) for key in ("images", "answers"))
    ours = net.double().eval()(images.permute(0, 3, 1, 2).double())
    return relative_difference(ours, answers)


@pytest.mark.slow
@pytest.mark.parametrize(("reference", "name", "width"), CASES)
def test_same_answers(references, reference, name, width):
    weights = load_pretrained(references / f"{reference}.npz", build_spec(name, width_mult=width))
    net = build(weights.model)
    apply_pretrained(net, weights)
    assert difference(references, reference, net) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_files_that_keras_saves(references, suffix):
    pytest.importorskip("h5py")
    spec = build_spec("mobilenet_v3_small")
    weights = load_pretrained(references / f"v3_small{suffix}", spec)
    plain = load_pretrained(references / "v3_small.npz", spec)
    assert weights.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(weights.tensors[key], plain.tensors[key]) for key in plain.tensors)
