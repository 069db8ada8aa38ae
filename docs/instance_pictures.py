"""Make objects of what a network without fault would predict: the picture and the table of the page on instances.

    python docs/instance_pictures.py docs/images/instances.png

The labels are those of examples/data/fib25. What comes back differs from them only by what a target cannot say and what
a segmenter cannot read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cc3d
import numpy as np

from segkit import Volume, open_volume
from segkit.contracts import Patch
from segkit.metrics import Contingency, variation_of_information
from segkit.registry import registries

Array = np.ndarray[Any, Any]

DATA = Path(__file__).parents[1] / "examples" / "data" / "fib25" / "fib25_crop.h5"
PAIRS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("boundaries", "watershed", {"neck": 0.0}),
    ("distances", "distance_watershed", {}),
    ("affinities", "mutex_watershed", {}),
    ("affinities", "agglomeration", {}),
    ("centre_offsets", "centres", {}),
)
EDGE = 2


def whole_objects(labels: Array, least: int) -> Array:
    """Return the connected parts of labels of at least so many voxels."""
    parts = cc3d.connected_components(np.ascontiguousarray(labels), connectivity=6)
    kept = cc3d.dust(parts, threshold=least, connectivity=6)
    return np.asarray(cc3d.connected_components(kept, connectivity=6).astype(np.uint64))


def perfect(task: str, labels: Array, size: tuple[float, float, float]) -> Volume:
    """Return what a network would predict that makes no mistake."""
    options: dict[str, Any] = {}
    if len(labels) == 1:
        options = {"offsets": "planar"} if task == "affinities" else {"in_plane_only": True}
    elif task == "affinities" and size[0] > 2 * size[1]:
        options = {"offsets": "anisotropic"}
    built = registries["tasks"][task](**options)
    # Centres are only known for objects that lie in a patch as a whole, so there is a margin around these.
    margin = [(EDGE * (n > 1 and task == "centre_offsets"),) * 2 for n in labels.shape]
    around = np.pad(labels, margin)
    raw, mask = np.zeros((1, *around.shape), np.float32), np.ones(around.shape, bool)
    target, _ = built.target(Patch(raw, around, mask, size, "labels"))
    z, y, x = (slice(before, before + n) for (before, _), n in zip(margin, labels.shape, strict=True))
    found = target[:, z, y, x].copy()
    for channel, name in enumerate(built.channel_names):
        if name.startswith("affinity_"):
            found[channel] = 1 - found[channel]
        if name.startswith("to_centre_"):
            found[channel] *= 10
    return Volume.from_array(found, axes="czyx", voxel_size=size, channel_names=built.channel_names)


def score(found: Array, labels: Array) -> str:
    """Return the variation of information, what splits and what mergers cost."""
    table = Contingency()
    table.update(found, labels)
    split, merge = variation_of_information(table.overlaps())
    return f"{split:.3f} + {merge:.3f}"


def rows(blocks: dict[str, tuple[Array, tuple[float, float, float]]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield task, segmenter and, for each block, prediction, objects, score and speed."""
    for task, segmenter, options in PAIRS:
        results = {}
        for name, (labels, size) in blocks.items():
            prediction = perfect(task, labels, size)
            cut, voxels = registries["segmenters"][segmenter](**options), prediction.read()
            began = time.process_time()
            found = cut(voxels, size).astype(np.uint64)  # all at once: no seams between blocks
            speed = labels.size / 1e6 / (time.process_time() - began)
            results[name] = (prediction, found, score(found, labels), speed)
        yield task, segmenter, results


def coloured(found: Array, labels: Array) -> Array:
    """Return colours ``(Y, X, 3)``: each label's own for the object that covers most of it, others for the rest."""
    colours = np.random.default_rng(5).uniform(0.15, 1, (4096, 3))
    pairs, counts = np.unique(np.stack([found.ravel(), labels.ravel()]), axis=1, return_counts=True)
    of: dict[int, int] = {}
    taken: set[int] = set()
    for i in np.argsort(-counts):
        object_id, label = pairs[:, i].tolist()
        if object_id not in of and label not in taken:
            of[object_id] = label
            taken.add(label)
    numbers = np.array([of.get(i, 2048 + i % 2048) for i in range(int(found.max()) + 1)])
    picture: Array = colours[numbers[found.astype(np.intp)] % 4096]
    picture[found == 0] = 0
    return picture


def main(path: Path) -> None:
    """Print the table and draw the picture."""
    from matplotlib.figure import Figure

    labels = open_volume(f"{DATA}:labels").read()
    image = open_volume(f"{DATA}:raw").read()
    volume = whole_objects(labels, 60)
    middle = len(volume) // 2
    blocks = {
        "10 nm": (volume, (10.0, 10.0, 10.0)),
        "40 x 10 x 10 nm": (whole_objects(labels[::4], 60), (40.0, 10.0, 10.0)),
        "one slice": (whole_objects(labels[middle : middle + 1], 20), (10.0, 10.0, 10.0)),
    }
    columns: list[tuple[str, Array]] = [
        ("image", image[middle]),
        ("labels", coloured(volume[middle], volume[middle])),
    ]
    for task, segmenter, results in rows(blocks):
        print(f"| `{task}` | `{segmenter}` | " + " | ".join(f"{s} ({v:.1f})" for _, _, s, v in results.values()) + " |")  # noqa: T201
        prediction, found, _, _ = results["10 nm"]
        channel = -1 if task != "affinities" else 2 if segmenter == "agglomeration" else -2
        columns.append((f"{task}:\n{prediction.channel_names[channel]}", prediction[channel][middle]))
        columns.append((segmenter, coloured(found[middle], volume[middle])))
    figure = Figure(figsize=(15, 5.6), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(2, 6).T.ravel(), columns, strict=True):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
