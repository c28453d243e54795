"""Run as a script: Keras's nets with random weights, their weights and answers, into a folder.

Keras chooses its backend when it is imported, so this has a process of its own.
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ["OMP_NUM_THREADS"] = "1"

import keras
import numpy as np

# name: class, alpha, minimalistic
NETS = {
    "v1": ("MobileNet", 1.0, None),
    "v1_025": ("MobileNet", 0.25, None),
    "v1_050": ("MobileNet", 0.5, None),
    "v2": ("MobileNetV2", 1.0, None),
    "v2_035": ("MobileNetV2", 0.35, None),
    "v2_140": ("MobileNetV2", 1.4, None),
    "v3_large": ("MobileNetV3Large", 1.0, False),
    "v3_large_075": ("MobileNetV3Large", 0.75, False),
    "v3_large_minimalistic": ("MobileNetV3Large", 1.0, True),
    "v3_small": ("MobileNetV3Small", 1.0, False),
    "v3_small_050": ("MobileNetV3Small", 0.5, False),
    "v3_small_minimalistic": ("MobileNetV3Small", 1.0, True),
}
SIZE = 64


def random_value(random, weight):
    kind, shape = weight.path.rpartition("/")[2], weight.shape
    if kind in ("gamma", "moving_variance"):
        return random.uniform(0.7, 1.3, shape)
    if kind in ("beta", "bias", "moving_mean"):
        return random.uniform(-0.2, 0.2, shape)
    depthwise = shape[-1] == 1 and len(shape) == 4
    bound = (5 / (np.prod(shape[:2]) if depthwise else np.prod(shape[:-1]))) ** 0.5
    return random.uniform(-bound, bound, shape)


def build(kind, alpha, minimalistic):
    options = {"alpha": alpha, "weights": None, "input_shape": (SIZE, SIZE, 3)}
    options["classifier_activation"] = None
    if minimalistic is not None:
        options |= {"minimalistic": minimalistic, "include_preprocessing": False}
    return getattr(keras.applications, kind)(**options)


def main(folder):
    keras.config.set_floatx("float64")
    random = np.random.default_rng(0)
    images = random.normal(0, 4, (2, SIZE, SIZE, 3)).astype(np.float32)
    for name, arguments in NETS.items():
        net = build(*arguments)
        # Single precision, as our tensors are; Keras computes BatchNorm in it whatever it is told.
        net.set_weights([random_value(random, w).astype(np.float32) for w in net.weights])
        arrays = {weight.path: np.asarray(weight.numpy(), np.float32) for weight in net.weights}
        np.savez(folder / f"{name}.npz", **arrays)
        answers = keras.ops.convert_to_numpy(net(images.astype(np.float64), training=False))
        np.savez(folder / f"{name}_answers.npz", images=images, answers=answers)
        if name == "v3_small":
            for suffix in (".weights.h5", ".keras", ".h5"):
                path = folder / f"{name}{suffix}"
                (net.save_weights if suffix == ".weights.h5" else net.save)(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
