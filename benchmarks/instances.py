"""Objects: connected components over blocks beside cc3d over the whole array, and scores of segmentations.

python benchmarks/instances.py [--side 512] [--rounds 5]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _contest import Contest, Task, Work

contest = Contest(__file__)
Find = Callable[[], list[float]]


def foreground(task: Task):
    """The foreground, uint8: an array in memory, or the Zarr array of it."""
    if not task["stored"]:
        return np.load(task["path"] + ".npy")
    import zarr

    return zarr.open_array(task["path"], mode="r")


def cc3d_whole(task: Task, stored: bool) -> Work:
    import cc3d
    import zarr

    volume = foreground(task)

    def work(number: int) -> tuple[float, Find]:
        labels, count = cc3d.connected_components(volume[:], connectivity=task["connectivity"], return_N=True)
        if stored:
            path = f"{task['path']}.{number}.cc3d"
            shutil.rmtree(path, ignore_errors=True)
            zarr.create_array(path, data=labels, chunks=(64,) * 3)
        return volume.size, lambda: [count]

    return work


@contest.contestant("cc3d, whole array")
def cc3d_memory(task: Task) -> Work:
    return cc3d_whole(task, task["stored"])


@contest.contestant("scikit-image, whole array")
def skimage_label(task: Task) -> Work:
    from skimage.measure import label

    volume = foreground(task)
    distance = {6: 1, 18: 2, 26: 3}[task["connectivity"]]

    def work(number: int) -> tuple[float, Find]:
        labels = label(volume, connectivity=distance)
        return volume.size, lambda: [float(labels.max())]

    return work


def segkit_blocks(task: Task, whole: bool) -> Work:
    import segkit
    from segkit.segmentation import object_count

    volume = segkit.open_volume(task["path"] if task["stored"] else foreground(task))

    def work(number: int) -> tuple[float, Find]:
        path = f"{task['path']}.{number}.segkit" if task["stored"] else None
        options = {"connectivity": task["connectivity"]}
        found = segkit.segment(volume, "components", path, options=options)
        ids = found.read() if whole else None
        return volume.box.size, lambda: [
            float(object_count(path) if path else (found.read() if ids is None else ids).max())
        ]

    return work


@contest.contestant("segkit, blocks")
def segkit_components(task: Task) -> Work:
    return segkit_blocks(task, whole=False)


@contest.contestant("segkit, blocks, and all read")
def segkit_components_read(task: Task) -> Work:
    return segkit_blocks(task, whole=True)


def pair(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """A segmentation and the truth: cells, shifted by a few voxels, a tenth of them merged."""
    labels = np.load(task["path"] + ".labels.npy")
    count = int(labels.max()) + 1
    rng = np.random.default_rng(0)
    renamed = np.arange(count, dtype=labels.dtype)
    merged = rng.choice(np.arange(1, count), count // 10, replace=False)
    renamed[merged] = np.maximum(rng.permutation(merged) // 2, 1)
    return np.ascontiguousarray(renamed[np.roll(labels, (1, 2, 3), (0, 1, 2))]), labels


@contest.contestant("scikit-image, VOI and adapted Rand")
def skimage_scores(task: Task) -> Work:
    from skimage.metrics import adapted_rand_error, variation_of_information

    found, labels = pair(task)

    def work(number: int) -> tuple[float, Find]:
        values = [*variation_of_information(labels, found), float(adapted_rand_error(labels, found)[0])]
        return labels.size, lambda: values

    return work


@contest.contestant("segkit, VOI and adapted Rand")
def segkit_scores(task: Task) -> Work:
    from segkit.metrics import Contingency, adapted_rand, variation_of_information, without_background

    found, labels = pair(task)

    def work(number: int) -> tuple[float, Find]:
        table = Contingency()
        table.update(found, labels)
        overlaps = table.overlaps()
        values = [*variation_of_information(overlaps), adapted_rand(without_background(overlaps))[0]]
        return labels.size, lambda: [float(v) for v in values]

    return work


@contest.contestant("StarDist, average precision", "stardist")
def stardist_matching(task: Task) -> Work:
    from stardist.matching import matching

    found, labels = pair(task)
    thresholds = [0.5 + 0.05 * n for n in range(10)]

    def work(number: int) -> tuple[float, Find]:
        scores = matching(labels.astype(np.int32), found.astype(np.int32), thresh=thresholds)
        return labels.size, lambda: [float(np.mean([score.accuracy for score in scores]))]

    return work


@contest.contestant("segkit, average precision")
def segkit_matching(task: Task) -> Work:
    from segkit.metrics import Contingency, match, mean_average_precision

    found, labels = pair(task)

    def work(number: int) -> tuple[float, Find]:
        table = Contingency()
        table.update(found, labels)
        value = float(mean_average_precision(match(table.overlaps())))
        return labels.size, lambda: [value]

    return work


COMPONENTS = ["cc3d, whole array", "scikit-image, whole array", "segkit, blocks", "segkit, blocks, and all read"]
SCORES = [
    ("scikit-image, VOI and adapted Rand", "segkit, VOI and adapted Rand"),
    ("StarDist, average precision", "segkit, average precision"),
]
WORDS = """
Connected components of uint8 cells whose borders are left out. cc3d and scikit-image see the whole array; segkit
works on blocks, which is what a volume larger than memory needs. In memory it keeps the ids of each block and a table of
the final ones, which are looked up as voxels are read; the last line counts that for all of them, into an array of uint64,
where cc3d returns uint32. Between stores, cc3d reads all and writes
all; segkit's ids are uint64, synced to the disk, checksummed, and written with coarser levels. All find the same number of
objects.
"""


def main() -> None:
    """Measure and write the page."""
    from _report import FOLDER, write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        import zarr
        from _volumes import cells

        labels = cells(chosen.side)
        inner = np.ones(labels.shape, bool)
        for axis in range(3):
            inner &= (labels == np.roll(labels, 1, axis)) & (labels == np.roll(labels, -1, axis))
        path = str(Path(folder) / "volume")
        np.save(path + ".npy", inner.astype(np.uint8))
        zarr.create_array(path, data=inner.astype(np.uint8), chunks=(64,) * 3)
        half = chosen.side // 2
        np.save(path + ".labels.npy", np.ascontiguousarray(labels[:half, :half, :half]))
        found = {}
        for connectivity, stored in ((6, False), (26, False), (26, True)):
            case = f"{connectivity} neighbours, {'store to store' if stored else 'in memory'}"
            task = {"path": path, "connectivity": connectivity, "stored": stored}
            names = [name for name in COMPONENTS if not (stored and ("scikit" in name or "read" in name))]
            found[case] = contest.compare(task, names, chosen.rounds)
            counts = {result.values[0] for result in found[case].values() if result.rates}
            assert len(counts) == 1, f"{case}: not all found the same objects: {counts}"
        write_page("instances", "Objects and their scores", WORDS, found, COMPONENTS[0], COMPONENTS[2:])
        text = f"\n## Scores\n\nOf {half}³ voxels of such cells, shifted, with a tenth of them merged.\n\n"
        text += "| | speed relative to the other | largest difference of a score |\n|---|---|---|\n"
        for theirs, ours in SCORES:
            result = contest.compare({"path": path}, [theirs, ours], chosen.rounds)
            apart = max(abs(a - b) for a, b in zip(result[ours].values, result[theirs].values, strict=True))
            text += f"| {ours}, beside {theirs} | {result[ours].rate / result[theirs].rate:.1f} | {apart:.1e} |\n"
    print(text, flush=True)
    with (FOLDER / "instances.md").open("a", encoding="utf-8") as page:
        page.write(text)


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
