"""Checks of what brings images in: datasets, augmentations, formats."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segkit.contracts import Patch, Sample
from segkit.errors import SegkitError
from segkit.geometry import Box
from segkit.opening import WritableFormat
from segkit.registry import Component
from segkit.testing._conformance import Subject, as_component, keeps_global_randomness, require
from segkit.testing._error import ConformanceError
from segkit.volume import Volume

__all__ = ["check_augmentation", "check_dataset", "check_format"]


def check_dataset(dataset: Subject, options: Mapping[str, Any] | None = None) -> None:
    """Check a dataset: a sequence of samples with names of their own, whose voxels can be read, twice the same.

    A dataset that cannot be built without being told something, such as where the files are, is only checked for its
    documentation unless `options` say it.

    Parameters
    ----------
    dataset
        The component or its factory.
    options
        Values for its parameters; None for the defaults.

    Raises
    ------
    ConformanceError
        If one of these does not hold.
    """
    component, options = as_component("datasets", dataset, options)
    if any(parameter.required and parameter.name not in options for parameter in component.parameters):
        return
    samples, again = component(**options), component(**options)
    require(len(samples) > 0, component, "it has no samples.")
    require(len(samples) == len(again), component, f"it has {len(samples)} samples, and {len(again)} when built again.")
    for index in range(len(samples)):
        item = samples[index]
        require(isinstance(item, Sample), component, f"item {index} is {type(item).__name__}, not a segkit.Sample.")
    names = [samples[index].name for index in range(len(samples))]
    require(len(set(names)) == len(names), component, f"several of its samples have one name: {sorted(names)}.")
    try:
        samples[len(samples)]
    except IndexError:
        pass
    else:
        raise ConformanceError(f"{component}: asking for sample {len(samples)} of {len(samples)} raises no IndexError.")
    for index in range(min(len(samples), 3)):
        item = samples[index]
        box = Box.of_shape(tuple(min(16, n) for n in item.raw.spatial_shape))
        patch, twin = item.read(box), again[index].read(box)
        for what in ("raw", "labels", "mask"):
            one, two = getattr(patch, what), getattr(twin, what)
            require(np.array_equal(one, two), component, f"the {what} of sample '{item.name}' differ when built again.")
        require(np.issubdtype(patch.raw.dtype, np.number), component, f"its images are of type {patch.raw.dtype}.")
        require(np.isfinite(patch.raw).all(), component, f"the image of sample '{item.name}' is not finite.")


def check_augmentation(augmentation: Subject, options: Mapping[str, Any] | None = None) -> None:
    """Check an augmentation: shapes stay, the generator alone decides, ids are not invented, and the input is left alone.

    Parameters
    ----------
    augmentation
        The component or its factory.
    options
        Values for its parameters; None for the defaults.

    Raises
    ------
    ConformanceError
        If one of these does not hold, or nothing changes in 32 draws.
    """
    component, options = as_component("augmentations", augmentation, options)
    augment = component(**options)
    changed = False
    for patch in _patches():
        kept = {what: getattr(patch, what).copy() for what in ("raw", "labels", "mask")}
        for seed in range(8):
            with keeps_global_randomness(component, "calling it"):
                result = augment(patch, np.random.default_rng(seed))
            for what, old in kept.items():
                require(
                    np.array_equal(getattr(patch, what), old), component, f"it changes the {what} it is given in place."
                )
            _check_patch(component, patch, result)
            again = augment(replace(patch), np.random.default_rng(seed))
            for what, old in kept.items():
                new = getattr(result, what)
                require(
                    np.array_equal(new, getattr(again, what)), component, f"its {what} differ under the same generator."
                )
                changed |= not np.array_equal(new, old)
    require(changed, component, "it changes nothing in 32 draws. Its defaults should do something.")


def _patches() -> list[Patch]:
    """Return a volume, one slice, one with several channels, and one whose labels are an image."""
    rng = np.random.default_rng(11)
    ids = rng.integers(0, 4, (2, 4, 5)).repeat(3, 0).repeat(4, 1).repeat(4, 2).astype(np.uint64)
    ids[ids == 3] = 2**63 + 5
    shape = ids.shape
    mask = np.ones(shape, bool)
    mask[:, :2] = False

    def image(channels: int, *extent: int) -> np.ndarray[Any, Any]:
        return rng.normal(size=(channels, *extent)).astype(np.float32)

    return [
        Patch(image(1, *shape), ids, mask, (40.0, 8.0, 8.0), "a volume"),
        Patch(image(1, 1, *shape[1:]), ids[:1], mask[:1], (1.0, 1.0, 1.0), "one slice"),
        Patch(image(3, *shape), ids, mask, (8.0, 8.0, 8.0), "three channels"),
        Patch(image(1, *shape), image(1, *shape), mask, (8.0, 8.0, 8.0), "an image to restore"),
    ]


def _check_patch(component: Component, before: Patch, after: Any) -> None:
    require(isinstance(after, Patch), component, f"it returns {type(after).__name__}, not a segkit.contracts.Patch.")
    for what in ("raw", "labels", "mask"):
        old, new = getattr(before, what), getattr(after, what)
        where = f"for {before.origin}, the {what}"
        require(new.shape == old.shape, component, f"{where} had the shape {old.shape} and now have {new.shape}.")
        require(new.dtype == old.dtype, component, f"{where} had the type {old.dtype} and now have {new.dtype}.")
    require(np.isfinite(after.raw).all(), component, f"for {before.origin}, the raw is not finite.")
    if np.issubdtype(before.labels.dtype, np.integer):
        invented = set(np.unique(after.labels[after.mask])) - set(np.unique(before.labels))
        require(not invented, component, f"for {before.origin}, it invents the ids {sorted(invented)}.")


def check_format(
    format: Subject, options: Mapping[str, Any] | None = None, *, source: str | Path | None = None
) -> None:
    """Check a format: it opens its own files, and refuses everything else without a crash.

    Parameters
    ----------
    format
        The component or its factory.
    options
        Values for its parameters; None for the defaults.
    source
        A file or store of this format; None checks only what it does with other things.

    Raises
    ------
    ConformanceError
        If it accepts nonsense, fails in another way than with a `segkit.errors.SegkitError`, or does not open `source`.
    """
    component, options = as_component("formats", format, options)
    handler = component(**options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "zero").write_bytes(b"")
        (folder / "words.nonsense").write_text("This is no image.\n" * 9)
        for nonsense in ("missing", "empty", "zero", "words.nonsense"):
            _check_refusal(component, handler, str(folder / nonsense))
    _check_refusal(component, handler, "nonsense://nowhere.invalid/image")
    if isinstance(handler, WritableFormat):
        for name in ("words.nonsense", "folder"):
            saves = handler.saves(Volume.from_array(np.zeros((1, 4, 4), np.uint8)), name)
            require(saves is False, component, f"'saves' returns {saves!r} for a target called '{name}'.")
    if source is not None:
        require(handler.accepts(str(source)) is True, component, f"it does not accept {source}.")
        volume = handler.open(str(source))
        require(isinstance(volume, Volume), component, f"it opens {source} as {type(volume).__name__}, not a Volume.")
        corner = volume.read(Box.of_shape(tuple(min(4, n) for n in volume.spatial_shape)))
        require(corner.dtype == volume.dtype, component, f"voxels read are {corner.dtype}, but it said {volume.dtype}.")


def _check_refusal(component: Component, handler: Any, source: str) -> None:
    what = Path(source).name
    try:
        accepted = handler.accepts(source)
    except Exception as error:
        raise ConformanceError(
            f"{component}: 'accepts' fails on '{what}' with {type(error).__name__}: {error}."
        ) from error
    require(accepted is False, component, f"'accepts' returns {accepted!r} for '{what}', which is no image.")
    try:
        handler.open(source)
    except SegkitError as error:
        require(
            what in str(error) or source in str(error),
            component,
            f"its message about '{what}' does not name it: {error}",
        )
    except Exception as error:
        raise ConformanceError(
            f"{component}: 'open' fails on '{what}' with {type(error).__name__}: {error}. Raise a segkit.errors.DataError."
        ) from error
    else:
        raise ConformanceError(f"{component}: 'open' opens '{what}', which is no image.")
