"""The settings of a recipe: split, sampling, optimizer, schedule and training.

Each is a frozen keyword-only dataclass, read for its parameters exactly as a component's factory is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from segkit.parameters import Advanced, Unit

__all__ = ["SECTIONS", "Optimizer", "Sampling", "Schedule", "Split", "Training"]

Count = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which part of the data validation uses, where no validation dataset is named.

    Parameters
    ----------
    share
        Share of the data that is held out; 0 for no validation.
    by
        What is held out: the far end of each image, and of five or more images whole ones, evenly spread (auto); the far end
        of each image, however many; whole images at random; whole images at random, as many from among those with few
        objects as from among those with many (density); or whole groups of images.
    gap
        Voxels next to a far end that neither part uses, because they look like those behind the cut.
    groups
        Regular expression that finds the group in the name of an image, such as ``^(S2_[^_]+)``; its first bracket is the
        group, or all of it. For `by` = ``groups``.
    seed
        Decides what is held out at random. It is not the recipe's seed, so that runs with other seeds are scored on the same.
    """

    share: Annotated[float, Ge(0), Le(0.9)] = 0.15
    by: Literal["auto", "end", "random", "density", "groups"] = "auto"
    gap: Annotated[int, Ge(0), Unit("voxels"), Advanced] = 0
    groups: Annotated[str, Advanced] = ""
    seed: Annotated[int, Ge(0), Advanced] = 0


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How patches are drawn from the data.

    Parameters
    ----------
    patch_shape
        Shape of a training patch in voxels (z, y, x); z is 1 for planar networks.
    planes
        Which slices a patch with one z is: along xy, or also along xz and yz, for voxels that are as long in z.
    batch_size
        Patches that the network sees at once, on each GPU.
    foreground
        Share of patches placed on foreground; the others fall anywhere that labels are known.
    balance
        What patches on foreground are aimed at: any voxel of it, so that large objects are seen most; each class equally
        often; or each object equally often, however small. Set `foreground` to 1 to aim every patch so.
    class_weights
        How often labels of 0, 1, 2, ... are aimed at relative to each other where `balance` is ``classes``; empty for equally.
    reuse
        Patches drawn from each piece of the data that is decoded, in steps some way apart; more is faster, and patches
        are more alike for a while. 1 draws every patch by itself. Data that fit into `memory` never need it.
    memory
        Memory for decoded voxels, in each process; part of what is computed, because it decides which patches are apart.
    normalization
        Subtract the mean and divide by the standard deviation of the training image, channel by channel; or the median
        and a deviation that outliers do not move, and then compress what is far from it by an inverse hyperbolic sine, for
        images whose bright parts would leave no contrast to the rest; or feed its numbers as they are.
    non_finite
        What to do with NaN or infinite voxels: refuse the data, or leave such voxels out of the training.
    workers
        Threads that read and augment patches; changes nothing but speed.
    """

    patch_shape: tuple[Count, Count, Count] = (32, 96, 96)
    planes: Annotated[Literal["xy", "all"], Advanced] = "xy"
    batch_size: Count = 2
    foreground: Annotated[float, Ge(0), Le(1)] = 0.5
    balance: Literal["none", "classes", "objects"] = "none"
    class_weights: Annotated[tuple[Annotated[float, Ge(0)], ...], Advanced] = ()
    reuse: Annotated[int, Ge(1), Le(1024), Unit("patches"), Advanced] = 32
    memory: Annotated[int, Ge(1), Unit("MiB"), Advanced] = 512
    normalization: Annotated[Literal["zscore", "asinh", "none"], Advanced] = "zscore"
    non_finite: Annotated[Literal["refuse", "mask"], Advanced] = "refuse"
    workers: Annotated[int, Ge(1), Le(64), Advanced] = 2


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The optimizer.

    Parameters
    ----------
    name
        Adam, Adam with decoupled weight decay, stochastic gradient descent with Nesterov momentum, or RMSprop.
    learning_rate
        Highest learning rate; the schedule lowers it.
    depth_power
        The learning rate is divided by this power of the number of the network's residual branches, so that one rate
        serves networks of every depth: 0 for the same rate at any depth, 0.5 for its square root (Yang et al. 2023).
    weight_decay
        Strength of the pull of weights towards zero.
    momentum
        Momentum of ``sgd`` and ``rmsprop``; the first beta of ``adam`` and ``adamw``.
    """

    name: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw"
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    depth_power: Annotated[float, Ge(0), Le(2), Advanced] = 0.0
    weight_decay: Annotated[float, Ge(0)] = 1e-2
    momentum: Annotated[float, Ge(0), Lt(1), Advanced] = 0.9


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes.

    Parameters
    ----------
    name
        Keep it; lower it in steps; lower it when validation stops improving; follow half a cosine to the end; or
        follow cosines that start again (Loshchilov and Hutter 2017).
    warmup
        Steps over which the rate first rises linearly from zero.
    factor
        What ``step`` and ``plateau`` multiply the rate with.
    every
        Steps between two drops of ``step``; length of the first cosine of ``cosine_restarts``.
    stretch
        How much longer each cosine of ``cosine_restarts`` is than the one before.
    patience
        Validations without improvement after which ``plateau`` lowers the rate.
    floor
        Lowest rate, as a share of the learning rate.
    """

    name: Literal["cosine", "fixed", "step", "plateau", "cosine_restarts"] = "cosine"
    warmup: Annotated[int, Ge(0), Unit("steps")] = 0
    factor: Annotated[float, Gt(0), Lt(1), Advanced] = 0.3
    every: Annotated[int, Ge(1), Unit("steps"), Advanced] = 1000
    stretch: Annotated[float, Ge(1), Advanced] = 1.0
    patience: Annotated[int, Ge(1), Unit("validations"), Advanced] = 5
    floor: Annotated[float, Ge(0), Lt(1), Advanced] = 0.0


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how to train.

    Parameters
    ----------
    steps
        Optimizer steps in all.
    validate_every
        Steps between two validations.
    validation_patches
        Patches of the validation grid that are scored, evenly spread; None for all of them.
    patience
        Validations without improvement after which training stops early; None trains to the end.
    accumulation
        Batches whose gradients are summed before a step; as good as that many times the batch size, in less memory.
    clip
        Largest norm of the gradient; None leaves it as it is.
    ema
        Decay of a running average of the weights, which is then what is validated and kept; lower in the first steps.
        None keeps the weights themselves.
    precision
        Number format of the network's arithmetic; ``bfloat16`` is much faster where the hardware has it.
    device
        Where to train; ``auto`` takes a GPU if there is one.
    compile
        Whether to compile the network first (torch.compile), which pays in long trainings.
    layout
        How patches lie in memory: channel by channel, or voxel by voxel, which is faster for some networks (on CPUs, planar
        ones with batch normalisation) and slower for others (with instance normalisation).
    checkpoint_minutes
        Longest time between two checkpoints, in minutes.
    """

    steps: Count = 5000
    validate_every: Count = 250
    validation_patches: Annotated[int, Ge(1), Advanced] | None = 64
    patience: Annotated[int, Ge(1)] | None = None
    accumulation: Annotated[int, Ge(1), Advanced] = 1
    clip: Annotated[float, Gt(0), Advanced] | None = 1.0
    ema: Annotated[float, Gt(0), Lt(1), Advanced] | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Advanced] = "auto"
    compile: Annotated[bool, Advanced] = False
    layout: Annotated[Literal["contiguous", "channels_last"], Advanced] = "contiguous"
    checkpoint_minutes: Annotated[float, Gt(0), Le(60), Unit("min"), Advanced] = 5.0


SECTIONS: Mapping[str, type] = {
    "split": Split,
    "sampling": Sampling,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "training": Training,
}
