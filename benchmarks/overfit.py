"""What a detector reaches on the very images that it learnt: does all of the chain fit together?

    python benchmarks/overfit.py DATA [--model NAME] [--weights FILE] [--epochs N]

DATA holds the same images in ``train`` and ``val``, by links for example. Views are hardly moved
and never mixed, so that a net learns them by heart, unless its boxes do not lie where they are
shown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import mobilens
from mobilens.training.augment import Augmentation
from mobilens.training.recipe import Recipe, default_recipe


def main() -> None:
    """Train and print what the net reaches."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="+", metavar="DATA", help="as mobilens train takes it")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--epochs", type=int, default=100)
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = mobilens.train(
            args.data,
            task="detect",
            model=args.model,
            weights=args.weights,
            recipe=_by_heart(args.model, args.epochs),
            out=Path(folder) / "run",
            observer=mobilens.TerminalObserver(),
        )
    minutes = (time.monotonic() - started) / 60
    print(f"{args.epochs} epochs on what is measured, {minutes:.1f} min")
    for name, value in run.evaluation.scores.to_json().items():
        if isinstance(value, float):
            print(f"{name}: {100 * value:.1f} %")


def _by_heart(model: str, epochs: int) -> Recipe:
    still = Augmentation(
        geometry="jitter", jitter_scale=(0.97, 1.03), flip=False, policy="none", mosaic=0.0
    )
    recipe = default_recipe("detect", model, has_weights=True)
    return replace(recipe, name="by_heart", epochs=epochs, weight_decay=0.0, augmentation=still)


if __name__ == "__main__":
    main()
