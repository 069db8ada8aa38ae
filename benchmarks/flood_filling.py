"""Flood filling with Google's weights for FIB-25: the plain serial algorithm beside segkit's engine.

python benchmarks/flood_filling.py [DATA] [--side 128]

DATA holds fib25/grayscale_maps.h5, fib25/groundtruth.h5 (janelia-flyem/neuroproof_examples) and
ffn-fib25-weights/fib25_ffn_weights.npz (google/ffn); without it the variable SEGKIT_TEST_DATA names the folder. With 128
voxels it takes about three quarters of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
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


def engine(precision: str, order: str, skip: float, mirror: bool) -> Callable[[Task], Work]:
    def ready(task: Task) -> Work:
        import torch

        from segkit_ffn import google_ffn
        from segkit_ffn._engine import Engine, Policy
        from segkit_ffn._flood_fill import beyond
        from segkit_ffn._seeds import edges, peaks
        from segkit_ffn._stepping import Step

        torch.set_num_threads(1)
        raw, model = crop(task, "grayscale_maps.h5", "raw")[None], google_ffn().read(weights(task))
        movement = model.task.movement
        filling = Engine(Step(model.network, precision), movement, Policy(skip=skip))
        added = beyond(raw.shape[1:], movement, mirror)

        def work(number: int) -> tuple[float, Callable[[], list[float]]]:
            seen = np.pad(raw, [(0, 0), *((n, n) for n in added)], mode="symmetric")
            seeds = peaks(edges(seen, (1, 1, 1)), (1, 1, 1), movement.radius, order.removeprefix("reversed "))
            seeds = seeds[::-1] if "reversed" in order else seeds
            found = filling.fill(model.normalization(seen), seeds if number else seeds[:1])
            ids = found.ids[tuple(slice(a, n - a) for a, n in zip(added, seen.shape[1:], strict=True))]
            return raw.size, lambda: [*scores(task, ids), found.steps]

        return work

    return ready


ENGINES = {
    "bfloat16, no mirror": ("bfloat16", "distance", 0.15, False),
    "bfloat16, no mirror, skip 0.2": ("bfloat16", "distance", 0.2, False),
    "bfloat16, no mirror, skip 0.3": ("bfloat16", "distance", 0.3, False),
    "bfloat16, no mirror, seeds reversed": ("bfloat16", "reversed distance", 0.15, False),
    "bfloat16, default": ("bfloat16", "distance", 0.15, True),
    "bfloat16, skip 0.3": ("bfloat16", "distance", 0.3, True),
    "bfloat16, every field of view": ("bfloat16", "position", 0.0, False),
    "float32, every field of view": ("float32", "position", 0.0, False),
}
for name, settings in ENGINES.items():
    contest.contestant(name)(engine(*settings))


def spread(data: str, rounds: int) -> str:
    """Fill eight cells with one worker and with two, and return how much faster two are; all find the same."""
    from contextlib import ExitStack

    from distributed import Client, LocalCluster

    import segkit
    from segkit_ffn import google_ffn

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        google_ffn().read(weights({"data": data})).save(Path(folder, "model"))
        raw = crop({"data": data, "side": 128}, "grayscale_maps.h5", "raw")[48:80, 32:96]
        ways: dict[str, dict[str, Any]] = {"2 threads": {"workers": 2}}
        clients: dict[str, Client] = {}
        for n in (1, 2):
            cluster = stack.enter_context(LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None))
            ways[f"{n} processes"] = {"cluster": cluster.scheduler_address}
            clients[f"{n} processes"] = stack.enter_context(Client(cluster.scheduler_address, set_as_default=False))

        def processor(way: str) -> dict[str, float]:
            """Return how much time of a processor each process has taken."""
            client = clients.get(way)
            return client.run(time.process_time) if client else {"": time.process_time()}

        def seconds(way: str, image: Array, cell: int, number: int) -> tuple[float, Array]:
            path = Path(folder, f"{number}-{way}.zarr")
            options = {"model": str(Path(folder, "model")), "cell": cell}
            began = time.perf_counter()
            segkit.segment(image, "flood_fill", path, options=options, **ways[way])
            return time.perf_counter() - began, segkit.open_volume(path).read()

        for way in ways:  # processes start, and load what they need
            seconds(way, raw[:20, :20, :40], 20, -1)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        busiest: dict[str, list[float]] = {way: [] for way in ways}
        found: list[Array] = []
        for number in range(rounds):
            for way, times in taken.items():
                before = processor(way)
                time_, ids = seconds(way, raw, 32, number)
                used = {process: now - before[process] for process, now in processor(way).items()}
                print(way, f"{time_:.1f} s, of processors", used, "load", os.getloadavg(), flush=True)
                times.append(time_)
                busiest[way].append(max(used.values()))
                found.append(ids)
    assert all(np.array_equal(found[0], other) for other in found), "workers changed voxels"
    wall = {way: float(np.median(times)) for way, times in taken.items()}
    processes, threads = (wall["1 processes"] / wall[way] for way in ("2 processes", "2 threads"))
    busy = float(np.median(busiest["1 processes"]) / np.median(busiest["2 processes"]))
    return (
        f"Eight cells of 32³ voxels take two processes {processes:.2f} times less time than one ({wall['1 processes']:.0f} and "
        f"{wall['2 processes']:.0f} s), and two threads {threads:.2f} times less; the busier of two processes takes {busy:.2f} times less "
        "time of a processor. All of them find the same."
    )


def measured_before(task: Task, ids: str, record: str) -> Result:
    """Return what an earlier run of the plain algorithm on this machine found, in how much time."""
    plain, known = np.load(ids)["ids"], json.loads(Path(record).read_text(encoding="utf-8"))
    np.save(Path(task["folder"], "plain.npy"), plain)
    return Result([plain.size / known["cpu_s"]], values=[*scores(task, plain), known["steps"]])


WORDS = """
The weights that Google published for FIB-25, on {side}³ voxels they were not trained on. *Plain* is the published algorithm,
one field of view after another through torch in float32, written from its description; with `precision` ``exact`` segkit's
engine equals it voxel by voxel. Counted is the processor time of one thread. *Default* is what the segmenter `flood_fill`
does: seeds by distance, the network called only where 15 % of its field of view is undecided, what is most undecided
first, the image continued beyond its sides as if they were mirrors, and fast convolutions in bfloat16. *No mirror* is the
same in the same space as the plain algorithm, whose field of view never gets nearer than 16 voxels to the sides.
"""


def main() -> None:
    """Measure and write the page."""
    from _report import FOLDER, write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("SEGKIT_TEST_DATA"))
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", choices=("no", "too", "only"), default="too", help="Whether to measure workers.")
    parser.add_argument("--plain", nargs=2, help="Ids (npz) and record (json) of the plain run, measured before.")
    parser.add_argument("--ways", nargs="*", default=list(ENGINES), help="Which of the engine's ways to measure.")
    chosen = parser.parse_args()
    if not chosen.data:
        print("Neither an argument nor SEGKIT_TEST_DATA names the folder of the data: nothing is measured")
        return
    if chosen.workers == "only":
        print(spread(chosen.data, 1))
        return
    with tempfile.TemporaryDirectory() as folder:
        task = {"data": str(Path(chosen.data).resolve()), "side": chosen.side, "folder": folder}
        found: dict[str, Result] = {}
        names = ["plain, float32", *chosen.ways]
        if chosen.plain:
            found[names.pop(0)] = measured_before(task, *chosen.plain)
        for name in names:
            found |= contest.compare(task, [name], 1)
            print(name, found[name].rates, found[name].values, flush=True)
    words = WORDS.format(side=chosen.side)
    if chosen.plain:
        words += "The plain algorithm was measured in an earlier run on the same machine.\n"
    write_page("flood_filling", "Flood filling", words, {f"{chosen.side}³": found}, "plain, float32", chosen.ways)
    head = ("", "fields of view", "CPU ms each", *SCORES)
    text = f"\n## What is found\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for name, result in found.items():
        *values, steps = result.values
        each = 1000 * chosen.side**3 / result.rate / steps
        text += f"| {name} | {steps:.0f} | {each:.0f} | {' | '.join(f'{value:.3f}' for value in values)} |\n"
    text += "\nThe row with reversed seeds shows what another order of them does: differences of that size say nothing. What was tried,\n"
    text += "and what came of it: [attempts](flood_filling_attempts.md).\n"
    if chosen.workers == "too":
        text += f"\n{spread(chosen.data, 1)}\n"
    print(text, flush=True)
    with (FOLDER / "flood_filling.md").open("a", encoding="utf-8") as page:
        page.write(text)


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
