"""On real photos the folded weights score as they do in a plain pipeline that shares no code."""

import numpy as np
import pytest
import torch

from mobilens.nn.backbone import build
from mobilens.nn.weights import apply_pretrained, load_pretrained, recover_batchnorm
from mobilens.spec.zoo import build_spec
from mobilens.vision.image import load_prepared

# Top-1 in percent on every second photo, as `python benchmarks/imagenet_regression.py DATA
# --photos 250` gives it in the column "plain"; run it again where this test fails.
PLAIN = {
    "mobilenet_v1": ("mobilenet_v1_100_224.safetensors", 83.6),
    "mobilenet_v2": ("mobilenet_v2_100_224_tf2.safetensors", 82.4),
    "mobilenet_v3_small": ("mobilenet_v3_small_100_224.safetensors", 81.2),
}


def batches(pixels, size=50):
    for part in pixels.split(size):
        yield part.permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.inference_mode()
def top1(net, pixels, targets):
    answers = torch.cat([net.eval()(images).argmax(1) for images in batches(pixels)])
    return 100 * float((answers == targets).double().mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
def test_top1_is_within_a_point_of_the_plain_pipeline(shared_data, name):
    file, plain = PLAIN[name]
    paths = sorted((shared_data / "imagenet500" / "images").iterdir())[::2]
    assert len(paths) == 250
    targets = torch.tensor([int(path.name.split("_")[0]) for path in paths])
    weights = load_pretrained(shared_data / "weights" / file, build_spec(name))
    pixels = [load_prepared(path, weights.preprocessing) for path in paths]
    pixels = torch.from_numpy(np.stack(pixels))
    net = build(weights.model)
    apply_pretrained(net, weights)
    assert abs(top1(net, pixels, targets) - plain) <= 1.0
    if name == "mobilenet_v3_small":
        recover_batchnorm(net, batches(pixels[:100]))
        assert abs(top1(net, pixels, targets) - plain) <= 1.0
