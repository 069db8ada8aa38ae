"""What the passes after flood filling do to a segmentation, and what cutting a volume into cells does to it.

python benchmarks/flood_filling_passes.py [FOLDER] [--region z22:150,y61:189,x61:189] [--keep FOLDER] [--pairs 100] [--cell 64]

FOLDER, or the one that the environment variable SEGKIT_TEST_DATA names, holds `fib25` (grayscale_maps.h5, groundtruth.h5) and
`ffn-fib25-weights` (fib25_ffn_weights.npz). Filling takes minutes: what is filled is kept in the folder that --keep names, and
taken from there the next time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segkit import Volume, open_volume
from segkit.geometry import Box
from segkit.metrics import (
    Contingency,
    adapted_rand,
    coverage,
    segmented,
    variation_of_information,
    without_background,
)
from segkit.model import Model, import_model
from segkit.segmentation import segment
from segkit_ffn._flood_fill import beyond

Array = np.ndarray
SIZE = (10.0, 10.0, 10.0)
HEAD = ("", "split", "merge", "VOI all", "split, filled", "merge, filled", "ARAND", "filled", "CPU s")


class Bench:
    """One region of the data: its image and truth, and fillings of it that are kept.

    Parameters
    ----------
    data
        The folder of the data.
    region
        Part of the volume.
    keep
        Where fillings are kept.
    """

    def __init__(self, data: Path, region: str, keep: Path) -> None:
        image = open_volume(f"{data}/fib25/grayscale_maps.h5:raw")
        box = Box.parse(region, image.box)
        self.raw = image.read(box)
        self.truth = open_volume(f"{data}/fib25/groundtruth.h5:stack").read(box).astype(np.uint64)
        self.keep = keep
        keep.mkdir(parents=True, exist_ok=True)
        weights = data / "ffn-fib25-weights" / "fib25_ffn_weights.npz"
        if not (keep / "model").is_dir():
            import_model(weights).save(keep / "model")
        self.model = Model.load(keep / "model", device="cpu")
        # The segmenter goes on beyond the sides of an image, as if they were mirrors.
        self.added = beyond(self.raw.shape, self.model.task.movement, mirror=True)
        self.padded = np.pad(self.raw, [(n, n) for n in self.added], mode="symmetric")
        self.image = self.model.normalization(self.padded[None])

    def engine(self):
        """Return what fills, as the segmenter does by default."""
        from segkit_ffn._engine import Engine, Policy
        from segkit_ffn._stepping import Step

        return Engine(Step(self.model.network, "auto"), self.model.task.movement, Policy())

    def seeds(self) -> Array:
        """Return the seeds, those furthest from edges first."""
        from segkit_ffn._seeds import edges, peaks

        return peaks(edges(self.padded[None], SIZE), SIZE, self.model.task.movement.radius, "distance")

    def kept(self, name: str, make: Callable[[], Array]) -> tuple[Array, float]:
        """Return an array that is kept, and the CPU-seconds it took; it is made if it is not there."""
        path = self.keep / f"{name}.npz"
        if not path.exists():
            began = time.process_time()
            ids = make()
            np.savez_compressed(path, ids=ids, seconds=time.process_time() - began)
        with np.load(path) as found:
            return found["ids"], float(found["seconds"]) if "seconds" in found else float("nan")

    def inner(self, ids: Array) -> Array:
        """Return the part of a segmentation that lies in the image itself."""
        if ids.shape != self.raw.shape:
            ids = ids[tuple(slice(a, a + n) for a, n in zip(self.added, self.raw.shape, strict=True))]
        return np.ascontiguousarray(ids, np.uint32)

    def grown(self, ids: Array, leftovers: int = 0) -> Array:
        """Return what the segmenter makes of objects when cells are stitched, and of leftovers before."""
        from segkit_ffn._fill import grown, membranes, with_leftovers

        ids, height = self.inner(ids), membranes(self.model.normalization(self.raw[None]), SIZE, bright=False)
        if leftovers:
            ids = with_leftovers(ids, grown(ids, height, SIZE, 6) != 0, leftovers)
        return grown(ids, height, SIZE, 6)

    def row(self, name: str, ids: Array, seconds: float) -> None:
        """Print the scores of a segmentation as a row of a table."""
        table = Contingency()
        table.update(self.inner(ids).astype(np.uint64), self.truth)
        objects = without_background(table.overlaps())
        split, merge = variation_of_information(objects)
        inner = variation_of_information(segmented(objects))
        cells = [f"{v:.3f}" for v in (split, merge, split + merge, *inner, adapted_rand(objects)[0], coverage(objects))]
        print("| " + " | ".join([name, *cells, f"{seconds:.1f}"]) + " |", flush=True)


def passes(bench: Bench, pairs: int) -> None:
    """Print what each pass does."""
    from segkit_ffn._agglomeration import agglomerated, contacts
    from segkit_ffn._consensus import split_consensus
    from segkit_ffn._fill import grown, membranes
    from segkit_ffn._passes import PIECE, second_opinion

    engine, height = bench.engine(), membranes(bench.image, SIZE, bright=False)

    def timed(name: str, ids: Array, make: Callable[[Array], Array], before: float = 0.0) -> Array:
        began = time.process_time()
        made = make(ids)
        bench.row(name, made, before + time.process_time() - began)
        return made

    plain, took = bench.kept("forward", lambda: engine.fill(bench.image, bench.seeds()).ids)
    back, took_back = bench.kept("mirror", lambda: second_opinion(engine, bench.image, bench.seeds()))
    bench.row("plain", plain, took)
    bench.row("mirror image, seeds in reverse", back, took_back)
    timed("plain, `grow` 6", plain, bench.grown)
    timed("plain, `grow` 6, `leftovers` 300", plain, lambda ids: bench.grown(ids, 300))
    both = timed(
        "`consensus`", plain, lambda ids: split_consensus(ids, back, PIECE * engine.policy.min_size), took_back
    )
    bench.row("consensus as published", published_consensus(plain, back, 1000), took_back)
    timed("`consensus`, `grow` 6", both, bench.grown)

    def joined(ids: Array) -> Array:
        candidates = contacts(grown(ids, height, SIZE, 6), height)[:pairs]
        return agglomerated(engine, bench.image, ids, candidates, engine.movement.radius)[ids]

    for name, ids in (("plain", plain), ("consensus", both)):
        began = time.process_time()
        again, took = bench.kept(f"{name}-joined-{pairs}", lambda ids=ids: joined(ids))
        bench.row(f"{name}, `agglomerate` {pairs}", again, took or time.process_time() - began)
        timed(f"{name}, `agglomerate` {pairs}, `grow` 6", again, bench.grown)


def published_consensus(one: Array, two: Array, min_size: int) -> Array:
    """Return the consensus as published: what is not in a large enough piece of both is empty."""
    codes = one.astype(np.uint64) * np.uint64(2**32) + two
    _, numbers, counts = np.unique(codes, return_inverse=True, return_counts=True)
    numbers = numbers.reshape(one.shape) + 1
    kept = (one > 0) & (two > 0) & (np.concatenate([[0], counts])[numbers] >= min_size)
    return np.where(kept, numbers, 0)


def cells(bench: Bench, cell: int) -> None:
    """Print what cutting the region into cells changes."""
    image = Volume.from_array(bench.raw, voxel_size=SIZE)
    options = {"model": str(bench.keep / "model"), "cell": cell, "grow": 0}
    ids, took = bench.kept(f"cells-{cell}", lambda: segment(image, "flood_fill", options=options).read())
    bench.row(f"cells of {cell}^3", ids, took)
    bench.row(f"cells of {cell}^3, `grow` 6", bench.grown(ids), took)  # as it is done when they are stitched


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("SEGKIT_TEST_DATA"))
    parser.add_argument("--region", default="z22:150,y61:189,x61:189")
    parser.add_argument("--keep", type=Path, default=Path("flood_filling_passes"))
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--cell", type=int, default=64)
    chosen = parser.parse_args()
    if not chosen.data:
        print("Skipped: no folder with the data was named, and SEGKIT_TEST_DATA names none.")
        return
    bench = Bench(Path(chosen.data), chosen.region, chosen.keep)
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    passes(bench, chosen.pairs)
    cells(bench, chosen.cell)


if __name__ == "__main__":
    main()
