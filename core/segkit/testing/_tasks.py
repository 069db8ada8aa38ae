"""Checks of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.contracts import Batch, Patch, Task, channels_for, parts_of, respond
from segkit.registry import Component
from segkit.testing._conformance import Subject, as_component, keeps_global_randomness, require
from segkit.testing._error import ConformanceError

__all__ = ["check_task"]

Array = np.ndarray[Any, Any]


def check_task(task: Subject, options: Mapping[str, Any] | None = None, *, image_labels: bool | None = None) -> None:
    """Check a task: the shapes of its targets, finite predictions, and scores that add up.

    Parameters
    ----------
    task
        The component or its factory.
    options
        Values for its parameters; None for the defaults.
    image_labels
        Whether its labels are an image, as in denoising, instead of ids; None tries ids and then an image.

    Raises
    ------
    ConformanceError
        If one of these does not hold.
    """
    component, options = as_component("tasks", task, options)
    if any(parameter.required and parameter.name not in options for parameter in component.parameters):
        return
    built: Task = component(**options)
    channels = built.out_channels
    require(isinstance(channels, int) and channels > 0, component, f"its out_channels is {channels!r}, not a count.")
    require(
        len(built.channel_names) == channels,
        component,
        f"it has {channels} channels and {len(built.channel_names)} channel names.",
    )
    patches = [
        _patch(seed, image) for image in ([False, True] if image_labels is None else [image_labels]) for seed in (1, 2)
    ]
    targets = _targets(component, built, patches)
    logits = torch.randn(2, channels, *patches[0].raw.shape[1:], generator=torch.Generator().manual_seed(5))
    kept = logits.clone()
    prediction = built.activate(logits)
    require(torch.equal(logits, kept), component, "activate changes the logits in place.")
    require(
        prediction.shape == logits.shape,
        component,
        f"activate maps {tuple(logits.shape)} to {tuple(prediction.shape)}; the shape stays as it is.",
    )
    require(torch.isfinite(prediction).all(), component, "activate makes a prediction that is not finite.")
    require(
        torch.isfinite(built.activate(1000 * logits)).all(), component, "activate is not finite for logits of 1000s."
    )
    _check_metrics(component, built, prediction.numpy(), targets)
    _check_step(component, built, patches[:2], targets)


def _patch(seed: int, image_labels: bool) -> Patch:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2, (4, 4, 4)).repeat(4, 0).repeat(6, 1).repeat(6, 2).astype(np.uint64)
    raw = rng.normal(size=(1, *ids.shape)).astype(np.float32)
    mask = rng.random(ids.shape) > 0.2
    ids[8:12, 12:18, 12:18] = mask[8, 12, 12] = 1  # for tasks that look at the middle
    labels = rng.random((1, *ids.shape)).astype(np.float32) if image_labels else ids
    return Patch(raw, labels, mask, (40.0, 16.0, 16.0), "an image as labels" if image_labels else "ids as labels")


def _targets(component: Component, task: Task, patches: list[Patch]) -> list[tuple[Array, Array]]:
    """Return the targets of the first kind of labels that the task does not refuse, after checking them."""
    reasons = []
    for start in range(0, len(patches), 2):
        targets = []
        try:
            for patch in patches[start : start + 2]:
                with keeps_global_randomness(component, "making a target"):
                    targets.append(task.target(patch))
        except ValueError as error:
            reasons.append(f"{patches[start].origin}: {error}")
            continue
        for patch, (target, mask) in zip(patches[start : start + 2], targets, strict=True):
            _check_target(component, task, patch, target, mask)
        return [(t.astype(np.float32) if t.dtype == bool else t, mask) for t, mask in targets]  # as in a batch
    raise ConformanceError(f"{component}: it refuses every kind of labels; {'; '.join(reasons)}.")


def _check_target(component: Component, task: Task, patch: Patch, target: Array, mask: Array) -> None:
    extent = patch.raw.shape[1:]
    floating = target.dtype in (np.float32, bool) and target.shape == (task.out_channels, *extent)
    exclusive = target.dtype == np.int64 and target.shape == extent
    require(
        floating or exclusive,
        component,
        f"its target for {extent} voxels is {target.dtype} {target.shape}; it is float32 or bool "
        f"{(task.out_channels, *extent)}, or int64 {extent}.",
    )
    by_channel = floating and mask.shape == target.shape
    require(
        mask.dtype == bool and (mask.shape == extent or by_channel),
        component,
        f"its mask is {mask.dtype} {mask.shape}, not bool {extent}{f' or {target.shape}' if floating else ''}.",
    )
    require(not (mask & ~patch.mask).any(), component, "its mask claims to know voxels that the patch does not.")
    require(np.isfinite(target).all(), component, "its target is not finite.")
    if exclusive:
        known = target[mask]
        require(
            known.size == 0 or (known.min() >= 0 and known.max() < task.out_channels),
            component,
            f"its classes run from {known.min()} to {known.max()}, with {task.out_channels} channels.",
        )
    wanted = task.foreground(patch.labels)
    require(
        wanted.dtype == bool and wanted.shape == extent,
        component,
        f"its foreground is {wanted.dtype} {wanted.shape}, not bool {extent}.",
    )


def _check_metrics(component: Component, task: Task, prediction: Array, targets: list[tuple[Array, Array]]) -> None:
    target = np.stack([t for t, _ in targets])
    mask = _stacked([m for _, m in targets])
    whole, first, second = task.metrics(), task.metrics(), task.metrics()
    whole.update(prediction, target, mask)
    first.update(prediction[:1], target[:1], mask[:1])
    second.update(prediction[1:], target[1:], mask[1:])
    total = np.asarray(first.sums) + np.asarray(second.sums)
    require(np.asarray(whole.sums).dtype == np.float64, component, "the sums of its metrics are not float64.")
    require(
        np.allclose(whole.sums, total),
        component,
        "the sums of its metrics for two halves do not add up to those of both.",
    )
    scores = whole.compute()
    second.sums = total
    for name, value in second.compute().items():
        require(
            name in scores and np.isclose(value, scores[name], equal_nan=True),
            component,
            f"its metric '{name}' is {scores.get(name)} for two patches together and {value} from the sums of each.",
        )
    require(task.best[0] in scores, component, f"its best metric '{task.best[0]}' is not one of {', '.join(scores)}.")
    require(task.best[1] in ("min", "max"), component, f"its best says {task.best[1]!r}; it is 'min' or 'max'.")
    task.metrics().compute()  # before anything was added


def _stacked(masks: list[Array]) -> Array:
    """Return masks as a batch holds them, float32 ``(N, 1 or K, Z, Y, X)``."""
    return np.stack([mask.reshape(-1, *mask.shape[-3:]) for mask in masks]).astype(np.float32)


class _Scale(nn.Module):
    """A network for any number of input channels, because some tasks add their own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, channels))

    def forward(self, raw: Tensor) -> Tensor:
        """Scale the mean over channels, once for each channel of the output."""
        return raw.mean(1, keepdim=True) * self.scale.reshape(1, -1, 1, 1, 1)


def _check_step(component: Component, task: Task, patches: list[Patch], targets: list[tuple[Array, Array]]) -> None:
    """Require that a step ends in a finite scalar which trains the network, whatever the loss."""

    def loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        require(
            mask.ndim == 5
            and mask.shape[1] in (1, logits.shape[1] if target.ndim == 5 else 1)
            and mask.shape[2:] == logits.shape[2:] == target.shape[-3:],
            component,
            f"its step gives the loss logits {tuple(logits.shape)}, a target {tuple(target.shape)} and a mask "
            f"{tuple(mask.shape)}; (N, K, Z, Y, X), (N, K, Z, Y, X) or (N, Z, Y, X), and (N, 1, Z, Y, X), or (N, K, Z, Y, X) "
            "with the first two, belong together.",
        )
        return ((logits - 0.25).square() * mask).sum() / mask.sum().clamp_min(1)

    network = _Scale(task.out_channels)
    batch = Batch(
        torch.from_numpy(np.stack([patch.raw for patch in patches])),
        torch.from_numpy(np.stack([target for target, _ in targets])),
        torch.from_numpy(_stacked([mask for _, mask in targets])),
        tuple(patch.origin for patch in patches),
    )
    parts = task.step(network, batch, loss)
    require(isinstance(parts, Iterable), component, "its step returns no scalar tensor.")
    for value, weight in parts_of(parts):
        require(isinstance(value, Tensor) and value.ndim == 0, component, "its step gives no scalar tensor.")
        require(torch.isfinite(value), component, f"its step gives {value.item()}.")
        require(value.requires_grad, component, "its step gives the network no gradient.")
        require(weight > 0, component, f"a part of its step has the weight {weight}.")
        value.backward()  # type: ignore[no-untyped-call]  # before the next part is asked for, as in training
    trained = network.scale.grad is not None and bool(network.scale.grad.abs().sum() > 0)
    require(trained, component, "its step gives the network no gradient.")
    if channels_for(task, 0):
        with torch.inference_mode():
            logits = respond(task, network.eval(), batch)
            again = respond(task, network, batch)
        wanted = (len(targets), task.out_channels, *batch.raw.shape[2:])
        require(
            logits.shape == wanted,
            component,
            f"it responds with logits of shape {tuple(logits.shape)}; they have the shape {wanted}.",
        )
        require(torch.equal(logits, again), component, "it responds differently to the same batch in validation.")
