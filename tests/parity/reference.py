"""Reference nets with random weights and statistics, and how their answers are compared."""

import torch
from torch import nn

from mobilens.nn.backbone import build
from mobilens.nn.weights.convert import convert, detect_layout


def randomise(net, seed=0):
    """Random parameters and BatchNorm statistics, of a size that keeps signals alive."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        with torch.no_grad():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = (6 / module.weight[0].numel()) ** 0.5
            uniform(module.weight, -bound, bound)
            if module.bias is not None:
                uniform(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            uniform(module.weight, 0.5, 1.5)
            uniform(module.bias, -0.5, 0.5)
            uniform(module.running_mean, -0.5, 0.5)
            uniform(module.running_var, 0.5, 1.5)
        elif hasattr(module, "gamma"):  # timm's layer scale
            uniform(module.gamma, 0.1, 0.5)
    return net.eval()


def fill(model, state):
    """Our net of a spec with a reference's state dict in it, and its layout."""
    layout = detect_layout(state, "reference")
    tensors, fresh = convert(state, model, layout, "reference")
    assert fresh == ()
    net = build(model)
    net.load_state_dict(tensors)
    return net.eval()


def images(resolution, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, resolution, resolution, generator=generator)


def relative_difference(ours, theirs):
    assert ours.shape == theirs.shape
    largest = theirs.abs().max()
    spread = (theirs[0] - theirs[1]).abs().max()
    assert spread > 1e-3 * largest, "the images hardly matter to the answers: nothing is compared"
    return float((ours - theirs).abs().max() / largest)


@torch.inference_mode()
def difference(net, reference, resolution):
    """Largest difference of the answers over the largest answer, in double precision."""
    x = images(resolution).double()
    return relative_difference(net.double()(x), reference.double()(x))
