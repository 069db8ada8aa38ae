"""Tiled prediction of a volume: segkit beside others, with a network that is nearly free and with a real one.

    python benchmarks/prediction.py [--side 256] [--rounds 5]

The free network shows what reading, tiling, blending and writing cost. With the real 3D U-Net each contestant runs
beside the bare forward passes of its own tiles, so what it adds to them can be told.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from _contest import Contest, Result, Task, Work

contest = Contest(__file__)
TILE, STEP, HALO = 64, 48, 8


def network(kind: str):
    """A network of one channel: an addition, or a U-Net of three levels."""
    import torch
    from torch import nn

    class Free(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.ones(()))

        def forward(self, raw: torch.Tensor) -> torch.Tensor:
            return raw + self.shift

    def convolutions(inner: int, outer: int) -> nn.Sequential:
        parts = [(nn.Conv3d(a, outer, 3, padding=1), nn.InstanceNorm3d(outer), nn.ReLU()) for a in (inner, outer)]
        return nn.Sequential(*parts[0], *parts[1])

    class UNet(nn.Module):
        stride = (4, 4, 4)

        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList([convolutions(1, 8), convolutions(8, 16), convolutions(16, 32)])
            self.up = nn.ModuleList([convolutions(24, 8), convolutions(48, 16)])
            self.last = nn.Conv3d(8, 1, 1)

        def forward(self, raw: torch.Tensor) -> torch.Tensor:
            first = self.down[0](raw)
            second = self.down[1](nn.functional.max_pool3d(first, 2))
            third = self.down[2](nn.functional.max_pool3d(second, 2))
            grown = nn.functional.interpolate(third, scale_factor=2, mode="nearest")
            second = self.up[1](torch.cat([grown, second], 1))
            grown = nn.functional.interpolate(second, scale_factor=2, mode="nearest")
            return self.last(self.up[0](torch.cat([grown, first], 1)))

    torch.manual_seed(0)
    built = Free() if kind == "free" else UNet()
    built.out_channels = 1
    built.halo = (HALO,) * 3
    return built.eval()


def image(task: Task):
    """The volume: an array in memory, or the Zarr array of it."""
    if not task["stored"]:
        return np.load(task["path"] + ".npy")
    import zarr

    return zarr.open_array(task["path"], mode="r")


def output(task: Task, number: int):
    """A new Zarr array for the result of a round, in chunks of 64^3."""
    import zarr

    path = f"{task['path']}.{number}.out"
    shutil.rmtree(path, ignore_errors=True)
    return zarr.create_array(path, shape=(task["side"],) * 3, dtype="f4", chunks=(64,) * 3)


def bare(task: Task, shape: list[int], count: int) -> Work:
    """The forward passes of tiles and nothing else."""
    import torch

    built, tile = network(task["network"]), torch.rand(1, 1, *shape)

    def work(number: int) -> float:
        with torch.inference_mode():
            for _ in range(count):
                built(tile)
        return task["side"] ** 3

    return work


def sliding(task: Task, mode: str) -> Work:
    import torch
    from monai.inferers import sliding_window_inference

    volume, built = image(task), network(task["network"])

    def work(number: int) -> float:
        raw = torch.from_numpy(volume).float()[None, None]
        with torch.inference_mode():
            result = sliding_window_inference(raw, (TILE,) * 3, 1, built, overlap=1 - STEP / TILE, mode=mode)
        return result[0, 0].numel()

    return work


@contest.contestant("MONAI, gaussian", "monai")
def monai_gaussian(task: Task) -> Work:
    return sliding(task, "gaussian")


@contest.contestant("MONAI, constant", "monai")
def monai_constant(task: Task) -> Work:
    return sliding(task, "constant")


@contest.contestant("bare tiles of MONAI and nnU-Net", "monai")
def monai_bare(task: Task) -> Work:
    return bare(task, [TILE] * 3, (-(-(task["side"] - TILE) // STEP) + 1) ** 3)


@contest.contestant("nnU-Net", "nnunet")
def nnunet(task: Task) -> Work:
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    volume = image(task)
    predictor = nnUNetPredictor(
        STEP / TILE,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network(task["network"])
    predictor.configuration_manager = SimpleNamespace(patch_size=[TILE] * 3)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=1)

    def work(number: int) -> float:
        return predictor.predict_sliding_window_return_logits(torch.from_numpy(volume).float()[None]).numel()

    return work


@contest.contestant("torch-em, halo", "torch_em")
def torch_em(task: Task) -> Work:
    import torch

    library = torch.library.Library("torchvision", "DEF")  # torchvision beside a CPU torch lacks its operators
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torch_em.util.prediction import predict_with_halo

    torch.kept = library
    volume, built = image(task), network(task["network"])
    # In memory the tile of the others; from and to a store, blocks that are its chunks, which is much faster.
    inner = 64 if task["stored"] else STEP

    def work(number: int) -> float:
        target = output(task, number) if task["stored"] else np.zeros(volume.shape, np.float32)
        predict_with_halo(
            volume,
            built,
            ["cpu"],
            (inner,) * 3,
            (HALO,) * 3,
            output=target,
            preprocess=lambda raw: raw.astype("float32"),
            disable_tqdm=True,
        )
        return task["side"] ** 3

    return work


@contest.contestant("bare tiles of torch-em", "torch_em")
def torch_em_bare(task: Task) -> Work:
    return bare(task, [TILE] * 3, (-(-task["side"] // STEP)) ** 3)


def segkit_model(task: Task):
    import segkit
    from segkit.contracts import Normalization
    from segkit.recipe import Selection

    choice = Selection("tasks:regression", segkit.tasks["regression"].bind({}))
    built = network(task["network"])
    scaling = Normalization((0.0,), (1.0,))
    return segkit.Model(built, choice, Selection("benchmark"), choice.build("tasks"), 1, scaling, (TILE,) * 3)


@contest.contestant("segkit")
def segkit_prediction(task: Task) -> Work:
    import segkit

    model = segkit_model(task)
    volume = segkit.open_volume(task["path"] if task["stored"] else image(task))

    def work(number: int) -> float:
        if task["stored"]:
            target = f"{task['path']}.{number}.zarr"
            return segkit.predict(model, volume, target).box.size
        return model(volume).read().size

    return work


@contest.contestant("bare tiles of segkit")
def segkit_bare(task: Task) -> Work:
    import segkit

    array = segkit_model(task)(segkit.open_volume(image(task))).array
    print("segkit's tiles:", len(array.lattice), "of", array.tiling.tile_shape, flush=True)
    return bare(task, list(array.tiling.tile_shape), len(array.lattice))


MEMORY = ["MONAI, gaussian", "MONAI, constant", "nnU-Net", "torch-em, halo", "segkit"]
REAL = {
    "MONAI, gaussian": "bare tiles of MONAI and nnU-Net",
    "nnU-Net": "bare tiles of MONAI and nnU-Net",
    "torch-em, halo": "bare tiles of torch-em",
    "segkit": "bare tiles of segkit",
}
WORDS = """
A uint8 volume to a float32 prediction. Peers have tiles of 64³ voxels that overlap by a quarter; torch-em crops a halo
of 8 voxels, and between stores it gets blocks that are whole chunks. segkit chooses its own blocks, with the same halo.
The free network adds 1, so that only the work around a network shows: in memory, and from a store to a store (Zarr,
64³ chunks; segkit also syncs each block to the disk and checksums it). What the peers take in memory varied threefold between
runs of one machine: most of it is memory that is new to the process.
"""


def prepared(folder: str, side: int) -> str:
    """Write a volume as a NumPy file and as Zarr; return their common path."""
    import zarr
    from _volumes import texture

    path, array = str(Path(folder) / f"{side}"), texture(side)
    np.save(path + ".npy", array)
    zarr.create_array(path, data=array, chunks=(64,) * 3, overwrite=True)
    return path


def real_network(folder: str, side: int, rounds: int) -> str:
    """Compare with a real U-Net; return a section for the page."""
    task = {"path": prepared(folder, side), "side": side, "network": "unet", "stored": False}
    found = contest.compare(task, [*REAL, *dict.fromkeys(REAL.values())], rounds)
    rows = "".join(
        f"| {name} | {found[tiles].rate / found[name].rate - 1:+.1%} | {found[name].rate / found['MONAI, gaussian'].rate:.2f} |\n"
        for name, tiles in REAL.items()
    )
    text = (
        f"\n## With a real network\n\nA 3D U-Net of three levels over {side}³ voxels, in memory: the time over the bare forward\n"
        "passes of the very same tiles, and the speed of the whole. The bare passes run in a process of their own, so that\n"
        "differences of some percent, and all below zero, are noise.\n\n"
        f"| | over the bare tiles | whole, relative to MONAI |\n|---|---|---|\n{rows}"
    )
    print(text, flush=True)
    return text


def peaks(folder: str, sides: list[int]) -> str:
    """Compare the memory of small and large volumes; return a section for the page."""
    rows: dict[str, list[str]] = {}
    for side in sides:
        path = prepared(folder, side)
        for name in MEMORY:
            stored = name in ("torch-em, halo", "segkit")
            if side > 512 and name != "segkit":
                rows.setdefault(name, []).append("")
                continue
            task = {"path": path, "side": side, "network": "free", "stored": stored}
            result: Result = contest.compare(task, [name], 1)[name]
            rows.setdefault(name, []).append(f"{result.peak:.0f}")
        shutil.rmtree(folder)
        Path(folder).mkdir()
    table = "".join(f"| {name} | " + " | ".join(cells) + " |\n" for name, cells in rows.items())
    head = (
        "| peak memory in MiB | " + " | ".join(f"{side}³" for side in sides) + " |\n|---|" + "---|" * len(sides) + "\n"
    )
    text = f"\n## Memory\n\nWith the free network; torch-em and segkit from store to store.\n\n{head}{table}"
    print(text, flush=True)
    return text


def main() -> None:
    """Measure and write the page."""
    from _report import FOLDER, write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--real", type=int, default=160, help="Edge of the volume for the real network; 0 leaves it out."
    )
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[128, 256, 512, 1024], help="Edges; none leaves it out."
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        task = {"path": prepared(folder, chosen.side), "side": chosen.side, "network": "free"}
        found = {"in memory": contest.compare({**task, "stored": False}, MEMORY, chosen.rounds)}
        found["store to store"] = contest.compare({**task, "stored": True}, MEMORY[-2:], chosen.rounds)
        write_page("prediction", "Tiled prediction", WORDS, found, "torch-em, halo", ["segkit"])
        more = real_network(folder, chosen.real, chosen.rounds) if chosen.real else ""
        more += peaks(folder, chosen.memory) if chosen.memory else ""
    with (FOLDER / "prediction.md").open("a", encoding="utf-8") as page:
        page.write(more)


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
