"""The published recipes, as far as published; each head names source, hardware, time and score.

Scores are ImageNet-1k top-1, percent. What a source leaves open is said in its recipe. Where the
source counts in steps, epochs stand here: a moving average of 0.9999 forgets over 10,000 steps, and
BatchNorm's of 0.997 over 333, so that small data sets are averaged over as many rounds.
Batches are those of all processors together; on other hardware give ``--batch-size``, and ``--lr``
in the same proportion.
"""

from __future__ import annotations

from mobilens.training.augment import Augmentation
from mobilens.training.recipe import Recipe

# Inception's crops: from 8 % of the area, and no other shapes or colours.
_INCEPTION = Augmentation(crop_scale=(0.08, 1.0), policy="none")


def mobilenet_v1() -> Recipe:
    """MobileNetV1, TensorFlow slim's ``mobilenet_v1_train`` (arXiv 1704.04861, section 4).

    Hardware: 1 GPU, batch 64. Time: not published. Score: 70.9 (paper 70.6, by RMSProp).
    The script takes plain gradient steps at 0.045; a tenth of it with Nesterov momentum of 0.9
    goes as far. It has no last epoch: after 200 the rate is below a hundredth.
    """
    return Recipe(
        "mobilenet_v1",
        epochs=200,
        batch_size=64,
        optimizer="sgd",
        lr=0.0045,
        weight_decay=4e-5,
        schedule="step",
        gamma=0.94,
        gamma_epochs=2.5,
        warmup_epochs=0,
        label_smoothing=0,
        ema_epochs=0,
        dropout=0.001,
        bn_epochs=1 / 6,
        init_std=0.09,
        balance="none",
        augmentation=_INCEPTION,
    )


def mobilenet_v2() -> Recipe:
    """MobileNetV2, TensorFlow slim (arXiv 1801.04381, section 6.1).

    Hardware: 1 GPU, batch 96. Time: 5.5 million steps (700,000 on 8 GPUs). Score: 72.0.
    The paper's own run: 16 GPUs, each 96 images, in no step with each other, x 0.98 an epoch.
    """
    return Recipe(
        "mobilenet_v2",
        epochs=412,
        batch_size=96,
        optimizer="rmsprop",
        lr=0.045,
        optimizer_eps=1.0,
        weight_decay=4e-5,
        schedule="step",
        gamma=0.98,
        gamma_epochs=2.5,
        warmup_epochs=0,
        ema_epochs=0.75,
        dropout=0.2,
        bn_epochs=1 / 40,
        init_std=0.09,
        balance="none",
        augmentation=_INCEPTION,
    )


def mobilenet_v3() -> Recipe:
    """MobileNetV3-Large, TensorFlow slim (arXiv 1905.02244, section 6.1).

    Hardware: 8 GPUs, 192 images each. Time: not published. Score: 74.6 (75.2 on 2x2 TPUs).
    It has no last epoch either; later runs of this kind, torchvision's and timm's, take 600.
    """
    return Recipe(
        "mobilenet_v3",
        epochs=600,
        batch_size=8 * 192,
        optimizer="rmsprop",
        lr=0.16,
        optimizer_eps=0.002**0.5,
        weight_decay=1e-5,
        schedule="step",
        gamma=0.99,
        gamma_epochs=3,
        warmup_epochs=5,
        ema_epochs=12,
        dropout=0.2,
        bn_epochs=0.4,
        init_std=0.008,
        balance="none",
        augmentation=_INCEPTION,
    )


def mobilenet_v4_conv_small() -> Recipe:
    """MobileNetV4 Conv-Small (arXiv 2404.10518, appendix).

    Hardware: TPUs, batch 4096. Time: not published. Score: 73.8.
    TrivialAugment stands for RandAugment (2 operations at strength 9, on half of the images), and
    decoupled decay alone for decay and an L2 loss of 1e-5.
    """
    return Recipe(
        "mobilenet_v4_conv_small",
        epochs=9600,
        batch_size=4096,
        lr=2e-3,
        momentum=0.6,
        optimizer_eps=1e-6,
        weight_decay=0.01,
        warmup_epochs=5,
        ema_epochs=32,
        dropout=0.3,
        balance="none",
        augmentation=Augmentation(crop_scale=(0.08, 1.0)),
    )


def torchvision() -> Recipe:
    """MobileNetV2 and V3-Large, torchvision's second weights.

    Hardware: 8 GPUs, 128 images each. Time: not published. Score: V2 72.154, V3-Large 75.274.
    Train with ``--resolution 176`` and measure at 224 as they did. They show each image four times
    in a row, and their momentum is not Nesterov's.
    """
    return Recipe(
        "torchvision",
        epochs=600,
        batch_size=8 * 128,
        optimizer="sgd",
        lr=0.5,
        weight_decay=2e-5,
        decay_depthwise=True,
        warmup_epochs=5,
        ema_epochs=23,
        balance="none",
        augmentation=Augmentation(
            crop_scale=(0.08, 1.0), random_erasing=0.1, mixup=0.2, cutmix=1.0
        ),
    )
