"""Make the picture of handwritten digits that ships inside mobilens.

Needs scikit-learn, which the project does not: ``pip install scikit-learn``, then
``python tools/make_digits.py``. The digits are the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998; CC BY 4.0).
"""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.datasets import load_digits

COLUMNS = 45
TARGET = Path(__file__).resolve().parents[1] / "src/mobilens/demo/digits.png"


def main() -> None:
    """Lay the digits out row after row, their labels in the picture's text."""
    digits = load_digits()
    rows = -(-len(digits.images) // COLUMNS)
    sheet = np.zeros((rows * 8, COLUMNS * 8), np.uint8)
    for index, digit in enumerate(digits.images):
        row, column = divmod(index, COLUMNS)
        sheet[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = (digit * 15).astype(np.uint8)
    text = PngInfo()
    text.add_text("labels", "".join(map(str, digits.target)))
    text.add_text("source", "UCI Optical Recognition of Handwritten Digits, test part, CC BY 4.0")
    Image.fromarray(sheet).save(TARGET, pnginfo=text, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {len(digits.images)} digits")


if __name__ == "__main__":
    main()
