"""Flood filling with Google's weights for FIB-25: the plain serial algorithm beside segkit's engine.

python benchmarks/flood_filling.py DATA [--side 128]

DATA holds fib25/grayscale_maps.h5, fib25/groundtruth.h5 (janelia-flyem/neuroproof_examples) and
ffn-fib25-weights/fib25_ffn_weights.npz (google/ffn). With 128 voxels it takes about half an hour.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _contest import Contest, Result, Task, Work

contest = Contest(__file__, threads=1, clock=time.process_time)
Array = np.ndarray[Any, Any]
CENTRE = (86, 125, 125)
SCORES = (
    "VOI",
    "of it split",
    "of it merge",
    "VOI of what is segmented",
    "adapted Rand error",
    "segmented",
    "VOI to plain",
)


def weights(task: Task) -> Path:
    return Path(task["data"], "ffn-fib25-weights", "fib25_ffn_weights.npz")


def crop(task: Task, name: str, dataset: str) -> Array:
    import h5py

    region = tuple(slice(c - task["side"] // 2, c - task["side"] // 2 + task["side"]) for c in CENTRE)
    with h5py.File(Path(task["data"], "fib25", name)) as file:
        return file[dataset][region]


def scores(task: Task, ids: Array) -> list[float]:
    """See SCORES. Voxels without a segment are one segment of their own; those without an object are left out."""
    from segkit.metrics import Contingency, adapted_rand, variation_of_information, without_background

    def overlaps(one: Array, other: Array):
        table = Contingency()
        table.update(one.astype(np.uint64), other.astype(np.uint64))
        return without_background(table.overlaps())

    labels = crop(task, "groundtruth.h5", "stack")
    every = overlaps(ids, labels)
    found = every.where(every.segments != 0)
    split, merge = variation_of_information(every)
    filled = found.voxels / every.voxels
    plain = Path(task["folder"], "plain.npy")
    apart = sum(variation_of_information(overlaps(ids + 1, np.load(plain) + 1))) if plain.exists() else 0.0
    return [split + merge, split, merge, sum(variation_of_information(found)), adapted_rand(every)[0], filled, apart]


@contest.contestant("plain, float32")
def plain(task: Task) -> Work:
    import torch
    from _reference_filling import Filling, PublishedNetwork, lexicographic_seeds

    torch.set_num_threads(1)
    raw, network = crop(task, "grayscale_maps.h5", "raw"), PublishedNetwork(weights(task))

    def work(number: int) -> tuple[float, Callable[[], list[float]]]:
        filling = Filling((raw.astype(np.float32) - 128) / np.float32(33), network)
        seeds = lexicographic_seeds(raw, (16, 16, 16))
        ids = filling(seeds if number else seeds[:1])

        def find() -> list[float]:
            if number:
                np.save(Path(task["folder"], "plain.npy"), ids)
            return [*scores(task, ids), filling.steps]

        return raw.size, find

    return work


def engine(precision: str, order: str, skip: float) -> Callable[[Task], Work]:
    def ready(task: Task) -> Work:
        import torch

        from segkit_ffn import google_ffn
        from segkit_ffn._engine import Engine, Policy
        from segkit_ffn._seeds import edges, peaks
        from segkit_ffn._stepping import Step

        torch.set_num_threads(1)
        raw, model = crop(task, "grayscale_maps.h5", "raw")[None], google_ffn().read(weights(task))
        filling = Engine(Step(model.network, precision), model.task.movement, Policy(skip=skip))

        def work(number: int) -> tuple[float, Callable[[], list[float]]]:
            seeds = peaks(edges(raw, (1, 1, 1)), (1, 1, 1), (16, 16, 16), order.removeprefix("reversed "))
            seeds = seeds[::-1] if "reversed" in order else seeds
            found = filling.fill(model.normalization(raw), seeds if number else seeds[:1])
            return raw.size, lambda: [*scores(task, found.ids), found.steps]

        return work

    return ready


ENGINES = {
    "segkit, float32": ("float32", "position", 0.0),
    "segkit, bfloat16": ("bfloat16", "position", 0.0),
    "segkit, bfloat16, seeds reversed": ("bfloat16", "reversed position", 0.0),
    "segkit, bfloat16, seeds by distance": ("bfloat16", "distance", 0.0),
    "segkit, float32, default": ("float32", "distance", 0.15),
    "segkit, default": ("auto", "distance", 0.15),
    "segkit, half as sure": ("auto", "distance", 0.3),
}
for name, settings in ENGINES.items():
    contest.contestant(name)(engine(*settings))


def spread(data: str, rounds: int) -> str:
    """Fill two cells with one process and with two, and return how much faster two are; both find the same."""
    import segkit
    from segkit_ffn import google_ffn

    with tempfile.TemporaryDirectory() as folder:
        google_ffn().read(weights({"data": data})).save(Path(folder, "model"))
        raw = crop({"data": data, "side": 128}, "grayscale_maps.h5", "raw")[32:96, :64, :]
        options = {"model": str(Path(folder, "model")), "cell": 64}
        seconds: dict[int, list[float]] = {1: [], 2: [], 4: []}
        found: list[Array] = []
        for number in range(rounds):
            for workers, times in seconds.items():
                path = Path(folder, f"{number}-{workers}.zarr")
                began = time.perf_counter()
                segkit.segment(raw, "flood_fill", path, options=options, cluster=f"local:{workers}")
                times.append(time.perf_counter() - began)
                found.append(segkit.open_volume(path).read())
        assert all(np.array_equal(found[0], other) for other in found), "workers changed voxels"
    one, two, four = (float(np.median(times)) for times in seconds.values())
    return f"Two cells of 64³ voxels: two processes take {one / two:.2f} times less time than one, four {one / four:.2f}. All find the same."


WORDS = """
The weights that Google published for FIB-25, on {side}³ voxels of its held-out part. *Plain* is the published algorithm,
one field of view after another through torch in float32, written from its description; segkit's engine in its mode `exact`
equals it voxel by voxel. Counted is the processor time of one thread, by which voxels are filled. *Default* is what the
segmenter `flood_fill` does: seeds by distance, no call where less than 15 % of the field of view is undecided, and the fast
convolutions.
"""


def main() -> None:
    """Measure and write the page."""
    from _report import FOLDER, write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--only-workers", action="store_true", help="Measure processes only, and write nothing.")
    chosen = parser.parse_args()
    if chosen.only_workers:
        print(spread(chosen.data, 1))
        return
    with tempfile.TemporaryDirectory() as folder:
        task = {"data": str(Path(chosen.data).resolve()), "side": chosen.side, "folder": folder}
        found: dict[str, Result] = {}
        for name in ("plain, float32", *ENGINES):
            found |= contest.compare(task, [name], 1)
            print(name, found[name].rates, found[name].values, flush=True)
    words = WORDS.format(side=chosen.side)
    write_page("flood_filling", "Flood filling", words, {f"{chosen.side}³": found}, "plain, float32", list(ENGINES))
    head = ("", "fields of view", "CPU ms each", *SCORES)
    text = f"\n## What is found\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for name, result in found.items():
        *values, steps = result.values
        each = 1000 * chosen.side**3 / result.rate / steps
        text += f"| {name} | {steps:.0f} | {each:.0f} | {' | '.join(f'{value:.3f}' for value in values)} |\n"
    text += "\nThe order of seeds alone changes the variation of information by as much as the two rows with seeds by\n"
    text += f"position differ. {spread(chosen.data, 3)}\n\nWhat was tried, and what came of it: [attempts](flood_filling_attempts.md).\n"
    print(text, flush=True)
    with (FOLDER / "flood_filling.md").open("a", encoding="utf-8") as page:
        page.write(text)


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
