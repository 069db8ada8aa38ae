"""Random training patches, image and labels, out of a chunked store: segkit beside others.

    python benchmarks/patches.py [--side 512] [--rounds 5]

Peers that read lazily get the store; those that keep everything in memory are there to compare, since no volume of a
terabyte fits. segkit's patches are whole training examples (normalised, with target and mask), drawn and read exactly
as the trainer does it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from _contest import Contest, Task, Work

contest = Contest(__file__)
CASES = {"64³ x 4": ((64, 64, 64), 4), "96³ x 2": ((96, 96, 96), 2), "256² x 8": ((1, 256, 256), 8)}


PATCHES = 64  # in a round of those that decode every patch
MANY = 512  # of those that hold decoded voxels and are quick


def starts(task: Task, number: int) -> list[list[int]]:
    """Corners of the patches of a round, uniform over the volume."""
    rng = np.random.default_rng(number)
    return [[int(rng.integers(task["side"] - n + 1)) for n in task["shape"]] for _ in range(PATCHES)]


def slicing(arrays: list, task: Task) -> Work:
    """Cut patches out of array-likes."""

    def work(number: int) -> float:
        corners = starts(task, number)
        for corner in corners:
            key = tuple(slice(a, a + n) for a, n in zip(corner, task["shape"], strict=True))
            for array in arrays:
                np.asarray(array[key])
        return len(corners)

    return work


@contest.contestant("zarr-python")
def zarr_python(task: Task) -> Work:
    import zarr

    group = zarr.open_group(task["path"], mode="r")
    return slicing([group["raw"], group["labels"]], task)


@contest.contestant("dask")
def dask_slicing(task: Task) -> Work:
    import dask.array

    return slicing([dask.array.from_zarr(f"{task['path']}/{name}") for name in ("raw", "labels")], task)


def tensorstores(task: Task, cache: int) -> list:
    import tensorstore

    context = tensorstore.Context({"cache_pool": {"total_bytes_limit": cache}})
    specs = [{"driver": "zarr3", "kvstore": f"file://{task['path']}/{name}/"} for name in ("raw", "labels")]
    return [tensorstore.open(spec, context=context, open=True).result() for spec in specs]


@contest.contestant("tensorstore")
def tensorstore_plain(task: Task) -> Work:
    return slicing(tensorstores(task, 0), task)


@contest.contestant("tensorstore, 256 MB cache")
def tensorstore_cached(task: Task) -> Work:
    return slicing(tensorstores(task, 2**28), task)


def torch_em_dataset(task: Task):
    import torch

    library = torch.library.Library("torchvision", "DEF")  # torchvision beside a CPU torch lacks its operators
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torch_em

    torch_em.kept = library
    torch.set_num_threads(1)
    return torch_em.default_segmentation_dataset(
        task["path"],
        "raw",
        task["path"],
        "labels",
        tuple(task["shape"]),
        raw_transform=lambda raw: raw,
        transform=lambda *arrays: arrays,
        n_samples=10**9,
    )


@contest.contestant("torch-em", "torch_em")
def torch_em_serial(task: Task) -> Work:
    dataset = torch_em_dataset(task)

    def work(number: int) -> float:
        return sum(1 for index in range(PATCHES) if dataset[number * 10**6 + index])

    return work


@contest.contestant("torch-em, 2 workers", "torch_em")
def torch_em_workers(task: Task) -> Work:
    import torch

    loader = torch.utils.data.DataLoader(torch_em_dataset(task), batch_size=task["batch"], num_workers=2)
    batches = iter(loader)

    def work(number: int) -> float:
        return sum(len(next(batches)[0]) for _ in range(PATCHES // task["batch"]))

    return work


@contest.contestant("gunpowder", "gunpowder")
def gunpowder_pipeline(task: Task) -> Work:
    import gunpowder as gp
    from funlib.persistence import open_ds

    names = {gp.ArrayKey("RAW"): "raw", gp.ArrayKey("LABELS"): "labels"}
    sources = tuple(
        gp.ArraySource(key, open_ds(f"{task['path']}.v2/{name}"), interpolatable=name == "raw")
        for key, name in names.items()
    )
    pipeline = sources + gp.MergeProvider() + gp.RandomLocation()
    request = gp.BatchRequest()
    for key in names:
        request.add(key, tuple(task["shape"]))
    build = gp.build(pipeline)
    build.__enter__()

    def work(number: int) -> float:
        return sum(1 for _ in range(PATCHES) if pipeline.request_batch(request))

    return work


def in_memory(task: Task):
    """The whole volume decoded, as tensors with a channel."""
    import torch
    import zarr

    group = zarr.open_group(task["path"], mode="r")
    labels = group["labels"][:].astype(np.int32)
    return {"raw": torch.from_numpy(group["raw"][:])[None], "labels": torch.from_numpy(labels)[None]}


@contest.contestant("MONAI, in memory", "monai")
def monai_crops(task: Task) -> Work:
    from monai.data import MetaTensor
    from monai.transforms import RandSpatialCropd

    arrays = {name: MetaTensor(tensor) for name, tensor in in_memory(task).items()}
    crop = RandSpatialCropd(["raw", "labels"], tuple(task["shape"]), random_size=False)

    def work(number: int) -> float:
        crop.set_random_state(number)
        return sum(1 for _ in range(MANY) if [t.clone() for t in crop(arrays).values()])

    return work


@contest.contestant("TorchIO, in memory", "torchio")
def torchio_crops(task: Task) -> Work:
    import torchio

    arrays = in_memory(task)
    subject = torchio.Subject(
        raw=torchio.ScalarImage(tensor=arrays["raw"]), labels=torchio.LabelMap(tensor=arrays["labels"])
    )
    draw = torchio.data.UniformSampler(tuple(task["shape"]))

    def work(number: int) -> float:
        drawn = zip(draw(subject), range(MANY), strict=False)
        return sum(1 for patch, _ in drawn if [patch[name].data.clone() for name in ("raw", "labels")])

    return work


def segkit_batches(task: Task, **options: object) -> Work:
    import itertools

    import segkit
    from segkit.contracts import Normalization, Sample
    from segkit.sampling import LabelIndex, Sampler, load_batches

    samples = [Sample("volume", *(segkit.open_volume(f"{task['path']}/{name}") for name in ("raw", "labels")))]
    target = segkit.tasks["semantic"]()
    index = LabelIndex.build(samples, target.foreground)
    scaling = Normalization((128.0,), (40.0,))
    sampler = Sampler(
        samples, target, index, scaling, patch_shape=tuple(task["shape"]), patches=task["batch"], **options
    )
    addresses = ([(step, sample) for sample in range(task["batch"])] for step in itertools.count())
    batches = load_batches(addresses, sampler.training_example, workers=2)
    # In a cycle every neighbourhood is decoded once: part of one would hold more of that work than its share, or less.
    steps = max(PATCHES // task["batch"], sampler.reuse.times * sampler.reuse.spread)

    def work(number: int) -> float:
        return sum(len(next(batches).raw) for _ in range(steps))

    return work


@contest.contestant("segkit")
def segkit_default(task: Task) -> Work:
    from segkit.recipe import Sampling

    return segkit_batches(task, reuse=Sampling().reuse)


@contest.contestant("segkit, no reuse")
def segkit_uniform(task: Task) -> Work:
    return segkit_batches(task, reuse=1)


WORDS = """
A patch is an image and its labels, out of a store of 64³ chunks (zstd), at a random place: 512³ voxels, uint8 and
uint32. Peers in memory hold the whole volume decoded. Those of segkit are finished training examples, normalised and
with target and mask, as a training draws them: 32 from each decoded neighbourhood, or one. What reusing a decoded
neighbourhood means for a training is in [Sampling](../reference/sampling.md). A round is 64 patches where each of them
is decoded, and 512 of what is held decoded: with reuse, just those in which every neighbourhood is decoded anew once.
"""


def main() -> None:
    """Measure and write the page."""
    from _report import write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="Contestants; all without it.")
    chosen = parser.parse_args()
    names = chosen.only or list(contest.contestants)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        import _volumes

        path = Path(folder) / "volume.zarr"
        _volumes.store(path, chosen.side)
        for case, (shape, batch) in CASES.items():
            task = {"path": str(path), "side": chosen.side, "shape": shape, "batch": batch}
            found[case] = contest.compare(task, names, chosen.rounds)
    write_page("patches", "Random patches", WORDS, found, "zarr-python", [n for n in names if n.startswith("segkit")])


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
