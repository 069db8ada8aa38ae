"""The hooks a plugin may implement: one for each kind of component.

A plugin is a module (or any object) named by an entry point of the group ``segkit``. Each hook takes nothing and
returns a mapping from names to factories. The module stays light: what a factory needs, it imports when it is called.

The contract of a factory: positional parameters are wiring, supplied by segkit; keyword-only parameters belong to the
user, each with a type, a default and a line in the "Parameters" section of the docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

__all__ = ["Factories", "hookimpl"]

hookimpl = pluggy.HookimplMarker("segkit")
hookspec = pluggy.HookspecMarker("segkit")

Factories = Mapping[str, Callable[..., Any]]


@hookspec
def segkit_architectures() -> Factories:  # type: ignore[empty-body]
    """Networks: ``factory(in_channels, out_channels, *, …) -> torch.nn.Module``.

    The module maps ``(N, C, Z, Y, X)`` to logits ``(N, K, Z, Y, X)``. One whose attribute ``planar`` is true is given
    ``(N, C, Y, X)`` instead, slice by slice. Two more attributes are understood, both ``(z, y, x)`` in voxels:
    ``stride``, how much it downsamples in all, and ``halo``, how much context a block needs to be predicted.

    A module inside of it that adds a branch to what it was given may call the branch ``residual_branch``, and a learnt
    factor of it ``residual_gate``: initializers of deep networks look for them.

    A parameter ``weights: str | None`` names pretrained weights to start from; when a trained model is loaded, the
    network is built with None.
    """


@hookspec
def segkit_losses() -> Factories:  # type: ignore[empty-body]
    """Losses: ``factory(*, …) -> loss(logits, target, mask)``, a scalar that only known voxels contribute to.

    ``logits`` is ``(N, K, Z, Y, X)``, as the network gave it; a loss for quantities, such as a mean squared error, takes
    it as it is. A floating ``target`` of that shape holds K independent channels in 0..1 (read
    the logits through a sigmoid); an integer one of shape ``(N, Z, Y, X)`` holds class indices that exclude each
    other (softmax). ``mask`` is ``(N, 1, Z, Y, X)``, 1 where the target is known and 0 elsewhere; with independent channels
    also ``(N, K, Z, Y, X)``, where they are not known in the same places.
    """


@hookspec
def segkit_datasets() -> Factories:  # type: ignore[empty-body]
    """Datasets: ``factory(*, …) -> sequence of segkit.Sample``, each of lazily opened volumes."""


@hookspec
def segkit_initializers() -> Factories:  # type: ignore[empty-body]
    """Initializers: ``factory(*, …) -> initialize(module)``, which sets the weights of a module in place."""


@hookspec
def segkit_tasks() -> Factories:  # type: ignore[empty-body]
    """Tasks: ``factory(*, …) -> segkit.contracts.Task``, which says what is learnt from labels."""


@hookspec
def segkit_segmenters() -> Factories:  # type: ignore[empty-body]
    """Segmenters: ``factory(*, …) -> segkit.contracts.Segmenter``, which cuts a prediction into objects."""


@hookspec
def segkit_tracers() -> Factories:  # type: ignore[empty-body]
    """Tracers: ``factory(*, …) -> trace(mask, voxel_size)``, which draws the skeleton of one object.

    ``mask`` is boolean ``(Z, Y, X)``, with at least one background voxel on every side; the result is a
    `segkit.Trace` whose nodes are in the unit of ``voxel_size``, from the centre of voxel (0, 0, 0) of the mask. Several
    threads may call it at once.

    Objects that do not fit into memory are traced in parts and joined. Two methods are used for them where a tracer has
    them: ``draw_part(mask, voxel_size)``, which takes no spurs away, and ``finish(trace, voxel_size)``, which does so for
    the joined trace.
    """


@hookspec
def segkit_augmentations() -> Factories:  # type: ignore[empty-body]
    """Augmentations: ``factory(*, …) -> augment(patch, rng)``, which returns a changed `segkit.contracts.Patch`.

    ``rng`` is the only source of randomness. The shape of a patch stays as it is.
    """


@hookspec
def segkit_formats() -> Factories:  # type: ignore[empty-body]
    """Formats: ``factory(*, …) -> segkit.opening.Format``, which opens one kind of file or store as a `Volume`."""


@hookspec
def segkit_importers() -> Factories:  # type: ignore[empty-body]
    """Importers: ``factory(*, …) -> segkit.model.Importer``, which turns trained weights of another program into a model."""
