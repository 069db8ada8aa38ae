"""Score a prediction patch by patch, and draw the best and the worst patch.

    python examples/mitochondria/score_patches.py PREDICTION RAW LABELS PICTURE.png [--region z124:]

Every slice is cut into 256 x 256 patches. The score of all of them together counts voxels over the whole region; it is
not the mean of the scores of the patches, in which a patch with ten positive voxels would weigh as much as a full one.
"""

import argparse
from pathlib import Path

import numpy as np

import segkit
from segkit.geometry import Box, Lattice
from segkit.metrics import OverlapMetrics
from segkit.report import draw_slices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("prediction", "raw", "labels", "picture"):
        parser.add_argument(name)
    parser.add_argument("--region", default="", help="what of raw and labels the prediction covers")
    arguments = parser.parse_args()
    prediction = segkit.open_volume(arguments.prediction)
    raw, labels = segkit.open_volume(arguments.raw), segkit.open_volume(arguments.labels)
    region = Box.parse(arguments.region, raw.box)
    raw, labels = raw.crop(region), labels.crop(region)

    total, scores = OverlapMetrics(["mitochondria"]), {}
    for box in Lattice(raw.box, (1, 256, 256)):
        found, truth = prediction.read(box)[None], (labels.read(box) != 0)[None, None].astype(np.float32)
        mask = np.ones_like(truth)
        total.update(found, truth, mask)
        patch = OverlapMetrics(["mitochondria"])
        patch.update(found, truth, mask)
        if truth.mean() > 0.01:  # where there is next to nothing, the score is decided by a few voxels
            scores[box] = patch.compute()["jaccard"]
    print(f"{len(Lattice(raw.box, (1, 256, 256)))} patches; over all voxels: ", end="")
    print(", ".join(f"{name} {value:.4f}" for name, value in total.compute().items() if "_" not in name))
    ordered = sorted(scores, key=lambda box: scores[box])
    pictures = []
    for name, box in (("worst", ordered[0]), ("best", ordered[-1])):
        image = raw.read(box)[0]
        panels = [
            (f"{name} patch, Jaccard {scores[box]:.3f}", image),
            ("prediction", prediction.read(box)[0, 0]),
            ("above 0.5", (prediction.read(box)[0, 0] > 0.5).astype(np.uint16)),
            ("truth", (labels.read(box)[0] != 0).astype(np.uint16)),
        ]
        pictures.append(draw_slices(panels, image))
        print(f"{name}: {box}, Jaccard {scores[box]:.3f}")
    for name, picture in zip(("worst", "best"), pictures, strict=True):
        path = Path(arguments.picture)
        path.with_stem(f"{path.stem}_{name}").write_bytes(picture)


if __name__ == "__main__":
    main()
