"""Write a small made-up stack in the form of the real one, for trying the example without any download.

    python generate.py [FOLDER]

Round bodies reach through some twenty slices, darker than what is around them and with a dark outline, under noise that
differs in each slice. Scores on it say nothing about mitochondria, only that the example works: all places look alike, so
that a network does as well on a slab of its own as on random patches, and the label that is copied does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.io import imsave
from tifffile import imwrite

SHAPE = (48, 128, 192)


def main(folder: Path) -> None:
    """Write ``images/000.png`` and so on, and ``labels.tif``."""
    random = np.random.default_rng(0)
    field = gaussian_filter(random.standard_normal(SHAPE), 6)
    labels = field > np.quantile(field, 0.92)
    outline = labels & ~binary_erosion(labels, np.ones((1, 3, 3)), iterations=2, border_value=1)
    cytoplasm = gaussian_filter(random.standard_normal(SHAPE), 2.5)
    image = 150 + 25 * cytoplasm / cytoplasm.std() - 30.0 * labels - 40.0 * outline
    image += 15 * gaussian_filter(random.standard_normal(SHAPE), (0, 0.7, 0.7)) / 0.4
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for z, plane in enumerate(image.clip(0, 255).astype(np.uint8)):
        imsave(folder / "images" / f"{z:03d}.png", plane, check_contrast=False)
    imwrite(folder / "labels.tif", np.where(labels, np.uint8(255), np.uint8(0)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "quick")
