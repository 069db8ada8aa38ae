"""Augmentation of training patches, image and labels: segkit beside batchgeneratorsv2 and MONAI, on one thread each.

python benchmarks/augmentation.py [--rounds 7]
"""

from __future__ import annotations

import argparse

import numpy as np
from _contest import Contest, Task, Work

contest = Contest(__file__, threads=1)
SHAPES = {"3D 64³": (64, 64, 64), "2D 256²": (1, 256, 256)}
COUNT = 32


def patch(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """An image, float32, and labels, int16; ``(1, Z, Y, X)``, or ``(1, Y, X)`` for one slice."""
    shape = [n for n in task["shape"] if n > 1]
    rng = np.random.default_rng(0)
    grid = np.indices(shape) // 16
    labels = (grid * np.array([1, 7, 31][: len(shape)]).reshape(-1, *[1] * len(shape))).sum(0).astype(np.int16)
    return rng.normal(size=(1, *shape)).astype(np.float32), labels[None]


def repeated(augment) -> Work:
    """Augment a number of times."""

    def work(number: int) -> float:
        for _ in range(COUNT):
            augment()
        return COUNT

    return work


@contest.contestant("a plain copy")
def copy(task: Task) -> Work:
    raw, labels = patch(task)
    arrays = raw, labels, np.ones(labels.shape, bool)  # segkit moves the mask of what is known, too
    return repeated(lambda: [array.copy() for array in arrays])


@contest.contestant("batchgeneratorsv2", "nnunet")
def batchgenerators(task: Task) -> Work:
    import torch
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

    torch.set_num_threads(1)
    raw, labels = (torch.from_numpy(array) for array in patch(task))
    size, dims = raw.shape[1:], raw.ndim - 1
    affine = {"p_rotation": 1, "rotation": (-0.26, 0.26), "p_scaling": 1, "scaling": (0.85, 1.15)}
    elastic = {"p_elastic_deform": 1, "elastic_deform_scale": (0.1, 0.2), "elastic_deform_magnitude": (0.05, 0.1)}
    chains = {
        "elastic and affine": [
            SpatialTransform(size, 0, False, bg_style_seg_sampling=False, mode_seg="nearest", **affine, **elastic)
        ],
        "affine": [SpatialTransform(size, 0, False, bg_style_seg_sampling=False, mode_seg="nearest", **affine)],
        "flips": [MirrorTransform(tuple(range(dims)))],
        "intensity": [
            ContrastTransform(BGContrast((0.75, 1.25)), True, False),
            MultiplicativeBrightnessTransform(BGContrast((0.75, 1.25)), False),
            GammaTransform(BGContrast((0.7, 1.5)), 0, False, 1, 1),
            GaussianNoiseTransform((0, 0.1)),
        ],
    }
    chain = chains[task["what"]]

    def augment() -> None:
        arrays = {"image": raw, "segmentation": labels}
        for transform in chain:
            arrays = transform(**arrays)
        arrays["image"].contiguous(), arrays["segmentation"].contiguous()

    return repeated(augment)


@contest.contestant("MONAI", "monai")
def monai(task: Task) -> Work:
    import torch
    from monai import transforms as t

    torch.set_num_threads(1)
    raw, labels = (torch.from_numpy(array) for array in patch(task))
    dims, keys = raw.ndim - 1, ["raw", "labels"]
    modes = {"mode": ("bilinear", "nearest"), "padding_mode": "reflection"}
    rotate, scale = [0.26] * (3 if dims == 3 else 1), [0.15] * dims
    affine = {"prob": 1, "rotate_range": rotate, "scale_range": scale}
    elastic = (
        t.Rand3DElasticd(keys, (5, 7), (50, 150), **affine, **modes)
        if dims == 3
        else t.Rand2DElasticd(keys, (32, 32), (1, 2), **affine, **modes)
    )
    chains = {
        "elastic and affine": [elastic],
        "affine": [t.RandAffined(keys, **affine, **modes)],
        "flips": [t.RandFlipd(keys, 0.5, axis) for axis in range(dims)],
        "intensity": [
            t.RandAdjustContrastd("raw", 1, (0.7, 1.5), retain_stats=True),
            t.RandScaleIntensityd("raw", 0.25, 1),
            t.RandShiftIntensityd("raw", 0.1, prob=1),
            t.RandGaussianNoised("raw", 1, 0, 0.1),
        ],
    }
    chain = t.Compose(chains[task["what"]])
    return repeated(lambda: [tensor.contiguous() for tensor in chain({"raw": raw, "labels": labels}).values()])


@contest.contestant("segkit")
def segkit_augmentations(task: Task) -> Work:
    import segkit
    from segkit.contracts import Patch

    raw, labels = (array.reshape(task["shape"]) for array in patch(task))
    mask = np.ones(labels.shape, bool)
    source = Patch(raw[None], labels, mask, (1.0, 1.0, 1.0), "benchmark")
    chain = [segkit.augmentations[name](**options) for name, options in CHAINS[task["what"]]]
    rng = np.random.default_rng(0)

    def augment() -> None:
        drawn = source
        for one in chain:
            drawn = one(drawn, rng)
        np.ascontiguousarray(drawn.raw), np.ascontiguousarray(drawn.labels), np.ascontiguousarray(drawn.mask)

    return repeated(augment)


AFFINE = {"rotation": 15.0, "tilt": 15.0, "scaling": 0.15, "shear": 0.0, "probability": 1.0}
CHAINS: dict[str, list[tuple[str, dict]]] = {
    "elastic and affine": [("deform", AFFINE)],
    "affine": [("deform", {**AFFINE, "displacement": 0.0})],
    "flips": [("flips", {})],
    "intensity": [("intensity", {})],
}
WORDS = """
Patches of one channel (float32) with labels (int16), in memory, augmented one by one on one thread; every augmentation
is always applied. Elastic and affine: turns up to 15°, scales up to 15 %, a smooth random displacement; the image is
interpolated linearly, labels keep the nearest id. Intensity: contrast, brightness, gamma and noise. segkit also moves
the mask of what is known, which the others do not have. A plain copy is the least that any augmentation can take.
"""


def main() -> None:
    """Measure and write the page."""
    from _report import write_page

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    found = {}
    for what in ("elastic and affine", "affine", "flips", "intensity"):
        for name, shape in SHAPES.items():
            task = {"what": what, "shape": shape}
            names = [one for one in contest.contestants if what == "flips" or one != "a plain copy"]
            found[f"{what}, {name}"] = contest.compare(task, names, chosen.rounds)
    write_page("augmentation", "Augmentation", WORDS, found, "batchgeneratorsv2", ["segkit"])


if __name__ == "__main__":
    contest.enter_if_asked()
    main()
