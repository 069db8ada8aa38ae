"""Joins the masks of nuclei, one file each, into labels: unpack_nuclei.py STAGE1_TRAIN FOLDER.

STAGE1_TRAIN holds a folder for each image, with `images/*.png` and `masks/*.png`, as the 2018 Data Science Bowl has them.
Those that `nuclei.txt` lists are written to FOLDER/images and FOLDER/labels.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import tifffile

import segkit
from segkit.errors import DataError

WANTED = (Path(__file__).parent / "nuclei.txt").read_text().split()


def unpack(source: Path, target: Path) -> int:
    """Write images as they are and labels as uint16, and return how many there are."""
    places = {folder.name[:12]: folder for folder in sorted(source.iterdir()) if folder.is_dir()}
    missing = [name for name in WANTED if name not in places]
    if missing:
        raise DataError(f"{source} has no folder that begins with {missing[0]}. Name the folder 'stage1_train'.")
    for part in ("images", "labels"):
        (target / part).mkdir(parents=True, exist_ok=True)
    for name in WANTED:
        (image,) = (places[name] / "images").glob("*.png")
        shutil.copyfile(image, target / "images" / f"{name}.png")
        labels = np.zeros(segkit.open_volume(image).spatial_shape[1:], np.uint16)
        for number, mask in enumerate(sorted((places[name] / "masks").glob("*.png")), 1):
            labels[segkit.open_volume(mask).read().reshape(-1, *labels.shape)[0] > 0] = number
        tifffile.imwrite(target / "labels" / f"{name}.tif", labels, compression="deflate")
    return len(WANTED)


if __name__ == "__main__":
    print(f"{unpack(Path(sys.argv[1]), Path(sys.argv[2]))} images")
