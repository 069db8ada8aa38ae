"""What drawing several patches from one decoded neighbourhood does to a training.

    OMP_NUM_THREADS=1 python benchmarks/reuse_study.py [--steps 250] [--seeds 4]

A small U-Net learns the bodies and boundaries of the FIB-25 crop in `examples/data`, with equal steps, batch and
learning rate, and nothing different but how often a neighbourhood is used. Prints, for each reuse, the loss on a part
that no patch comes from, and how much the share of boundary varies from batch to batch and from window to window.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

import h5py
import numpy as np
import torch

import segkit
from segkit.contracts import Sample, call_network
from segkit.sampling import LabelIndex, Sampler, estimate_normalization, load_batches, validation_boxes

CROP = Path(__file__).parents[1] / "examples" / "data" / "fib25" / "fib25_crop.h5"
PATCH, CHUNKS, BATCH, WINDOW = (24, 24, 24), (24, 24, 24), 2, 25
CASES = {"1": (1, 512), "8": (8, 512), "16": (16, 512), "32": (32, 512), "32, 2 alive": (32, 2)}


def samples() -> tuple[Sample, Sample]:
    """Return a part to train on and one to validate on, as if they were stored in chunks."""
    with h5py.File(CROP) as file:
        raw, labels = file["raw"][:], file["labels"][:]
    parts = []
    for name, part in (("train", np.s_[:, :, :136]), ("held out", np.s_[:, :, 144:])):
        volumes = [segkit.Volume.from_array(array[part].copy(), chunks=CHUNKS) for array in (raw, labels)]
        parts.append(Sample(name, *volumes))
    return parts[0], parts[1]


class Study:
    """What all trainings share."""

    def __init__(self, steps: int) -> None:
        self.steps, (self.train, held_out) = steps, samples()
        self.task, self.loss = segkit.tasks["boundaries"](), segkit.losses["bce"]()
        self.index = LabelIndex.build([self.train], self.task.foreground)
        self.scaling = estimate_normalization([self.train], "zscore", 0, "refuse")
        found = LabelIndex.build([held_out], self.task.foreground)
        boxes = validation_boxes([held_out], found, PATCH, None)
        still = Sampler([held_out], self.task, found, self.scaling, patch_shape=PATCH)
        self.validation = list(load_batches([[place] for place in boxes], still.example_at))

    def sampler(self, reuse: int, megabytes: int, seed: int) -> Sampler:
        """Draw as a recipe would."""
        return Sampler(
            [self.train],
            self.task,
            self.index,
            self.scaling,
            patch_shape=PATCH,
            reuse=reuse,
            memory=megabytes * 2**20,
            patches=BATCH,
            seed=seed,
        )

    def batches(self, sampler: Sampler):
        """Yield the batches of a training."""
        addresses = ([(step, number) for number in range(BATCH)] for step in range(self.steps))
        return load_batches(addresses, sampler.training_example, workers=1)

    def trained(self, sampler: Sampler, seed: int) -> tuple[float, list[float]]:
        """Train; return the loss on what was held out, and the share of boundary in each batch."""
        torch.manual_seed(seed)
        network = segkit.architectures["unet"](1, self.task.out_channels, width=6, depth=2)
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
        shares = []
        for step, batch in enumerate(self.batches(sampler)):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * (0.5 + 0.5 * math.cos(math.pi * step / self.steps))
            optimizer.zero_grad()
            self.task.step(network, batch, self.loss).backward()
            optimizer.step()
            shares.append(float(batch.target[:, 1].mean()))
        network.eval()
        with torch.inference_mode():
            losses = [
                float(self.loss(call_network(network, batch.raw), batch.target, batch.mask))
                for batch in self.validation
            ]
        return statistics.mean(losses), shares


def main() -> None:
    """Train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=4)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(chosen.steps)
    losses: dict[str, list[float]] = {name: [] for name in CASES}
    shares: dict[str, list[list[float]]] = {name: [] for name in CASES}
    began = time.monotonic()
    for seed in range(chosen.seeds):  # all cases of a seed share its first weights
        for name, (reuse, megabytes) in CASES.items():
            sampler = study.sampler(reuse, megabytes, seed)
            loss, found = study.trained(sampler, seed)
            losses[name].append(loss)
            shares[name].append(found)
            print(
                f"seed {seed}, reuse {name}: {loss:.4f} {sampler.reuse}, {time.monotonic() - began:.0f} s", flush=True
            )
    print("\n| reuse | loss, held out | minus that of reuse 1 | sd of boundary share, a batch | a window of 25 steps |")
    print("|---|---|---|---|---|")
    for name, found in losses.items():
        apart = [a - b for a, b in zip(found, losses["1"], strict=True)]
        windows = [np.reshape(row[: len(row) // WINDOW * WINDOW], (-1, WINDOW)).mean(1) for row in shares[name]]
        print(
            f"| {name} | {statistics.mean(found):.4f} ± {statistics.stdev(found):.4f} "
            f"| {statistics.mean(apart):+.4f} ± {statistics.stdev(apart):.4f} "
            f"| {np.std(shares[name]):.4f} | {np.std(windows):.4f} |"
        )


if __name__ == "__main__":
    main()
