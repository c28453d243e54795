"""Does MediaPipe Tasks, a client that is not ours, answer as a LiteRT file's own golden answers?

    python -m venv mp && mp/bin/pip install mediapipe && mp/bin/python tools/mediapipe_check.py FILE

It wants an environment of its own, so this script needs nothing of mobilens: the manifest, the
labels and the golden inputs lie packed in the file.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image


def main(path: str) -> int:
    """Compare label and score of every golden input; 1 where one differs."""
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("mobilens.json"))
    names = manifest["task"]["class_names"]
    options = vision.ImageClassifierOptions(BaseOptions(model_asset_path=path), max_results=1)
    differing = 0
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for golden in manifest["golden"]:
            picture = Image.open(io.BytesIO(base64.b64decode(golden["image"])))
            pixels = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.asarray(picture))
            best = classifier.classify(pixels).classifications[0].categories[0]
            promised = golden["outputs"]["probabilities"]
            label, score = names[int(np.argmax(promised))], max(promised)
            same = best.category_name == label and abs(best.score - score) <= manifest["tolerance"]
            differing += not same
            print(f"{best.category_name} {best.score:.6f}, promised {label} {score:.6f}")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
