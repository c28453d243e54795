"""PCK@0.2 of the mean pose: what keypoints reach by saying the same of every image.

    python benchmarks/mean_pose.py DATA [--val-fraction 0.2] [--json]

The mean of the training part, each point in shares of what is looked at, is laid over each image of
the validation part: the figure that ``mobilens train DATA --task keypoints`` has to leave behind.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from mobilens.data.dataset import Sample, load_splits
from mobilens.spec.task import TaskSpec
from mobilens.vision.image import image_size
from mobilens.vision.keypoints import KeypointPrediction, new_metric


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", metavar="DATA", help="as mobilens train takes it")
    parser.add_argument("--val-fraction", type=float, default=0.2, metavar="F")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    splits = load_splits(args.data, labels="points", val_fraction=args.val_fraction)
    mean = _mean_pose(splits.train.samples)
    metric = new_metric(TaskSpec("keypoints", splits.val.class_names))
    for sample in splits.val.samples:
        metric.update([_laid_over(mean, sample, splits.val.class_names)], [sample.target])
    scores = metric.result()
    if args.json:
        print(json.dumps(scores.to_json(), indent=2))
    else:
        print(
            f"mean pose of {len(splits.train):,} on {len(splits.val):,}: "
            f"PCK@0.2 {scores.main.percent()} %, OKS-AP {100 * scores.ap:.1f} %"
        )


def _frame(sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corner and sides of what is looked at, x and y."""
    height, width = image_size(sample.path)
    left, top, right, bottom = sample.region or (0.0, 0.0, width, height)
    return np.array([left, top]), np.array([right - left, bottom - top])


def _mean_pose(samples: tuple[Sample, ...]) -> NDArray[np.float64]:
    shares = []
    for sample in samples:
        corner, sides = _frame(sample)
        share = (sample.target.points - corner) / sides
        shares.append(np.where(sample.target.labelled[:, None], share, np.nan))
    return np.nanmean(shares, axis=0)


def _laid_over(
    mean: NDArray[np.float64], sample: Sample, names: tuple[str, ...]
) -> KeypointPrediction:
    corner, sides = _frame(sample)
    points = (corner + mean * sides).astype(np.float32)
    return KeypointPrediction(points, np.ones(len(points), np.float32), points, names)


if __name__ == "__main__":
    main()
