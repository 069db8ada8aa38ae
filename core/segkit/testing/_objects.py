"""Checks of what makes objects and their skeletons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from segkit.errors import DataError
from segkit.registry import Component
from segkit.testing._conformance import Subject, as_component, keeps_global_randomness, require
from segkit.testing._error import ConformanceError

__all__ = ["check_segmenter", "check_tracer"]

Array = np.ndarray[Any, Any]


def check_segmenter(
    segmenter: Subject, options: Mapping[str, Any] | None = None, *, channels: int | None = None
) -> None:
    """Check a segmenter: object ids from 1, background 0, the same again, and wherever the objects lie.

    Parameters
    ----------
    segmenter
        The component or its factory.
    options
        Values for its parameters; None for the defaults. Of one that requires more, such as a model, only what it says of
        itself is checked.
    channels
        Channels of a prediction it takes; None tries 1, 2, 3 and so on until one is not refused with a `ValueError`.

    Raises
    ------
    ConformanceError
        If one of these does not hold.
    """
    component, options = as_component("segmenters", segmenter, options)
    if any(parameter.required and parameter.name not in options for parameter in component.parameters):
        return
    segment = component(**options)
    halo, stitching = segment.halo, segment.stitching
    require(
        len(halo) == 3 and all(isinstance(n, int) and n >= 0 for n in halo),
        component,
        f"its halo is {halo!r}, not three voxel counts (z, y, x).",
    )
    require(
        stitching in ("touching", "overlap"),
        component,
        f"its stitching is {stitching!r}; it is 'touching' or 'overlap'.",
    )
    _check_names(component, segment)
    voxel_size = (1.0, 1.0, 1.0)
    channels = _accepted(component, segment) if channels is None else channels
    prediction = _two_balls(channels, (10, 20, 20))
    kept = prediction.copy()
    with keeps_global_randomness(component, "calling it"):
        ids = segment(prediction, voxel_size)
    require(np.array_equal(prediction, kept), component, "it changes the prediction in place.")
    require(isinstance(ids, np.ndarray), component, f"it returns {type(ids).__name__}, not an array.")
    require(
        ids.shape == prediction.shape[1:], component, f"it maps {prediction.shape} to {ids.shape}; expected (Z, Y, X)."
    )
    require(np.issubdtype(ids.dtype, np.integer), component, f"its ids are of type {ids.dtype}, not integer.")
    present = np.unique(ids)
    objects = present[present != 0]
    require(
        np.array_equal(objects, np.arange(1, len(objects) + 1)),
        component,
        f"its ids are {objects[:5].tolist()} …, not counted from 1 without gaps.",
    )
    require(len(objects) > 0, component, "it finds no object in two clear balls.")
    require(np.array_equal(ids, segment(prediction, voxel_size)), component, "its ids differ from call to call.")
    moved = segment(_two_balls(channels, (12, 23, 21)), voxel_size)
    inner, shifted = ids[4:16, 8:32, 8:48], moved[6:18, 11:35, 9:49]
    require(
        _same_partition(inner, shifted),
        component,
        "it cuts the same two balls differently when they lie 2 voxels further.",
    )
    _check_finish(component, segment, ids.astype(np.uint64), prediction)


def _check_finish(component: Component, segment: Any, ids: Array, prediction: Array) -> None:
    """Require that a part of a volume is finished as the whole is, if a segmenter finishes at all."""
    halo = getattr(segment, "finish_halo", None)
    if halo is None:
        return
    deep = max(halo)
    ids = np.pad(ids, [(0, 0), (0, 0), (deep, deep)])
    prediction = np.pad(prediction, [(0, 0), (0, 0), (0, 0), (deep, deep)])
    whole = segment.finish(ids, prediction, (1.0, 1.0, 1.0))
    require(
        isinstance(whole, np.ndarray) and whole.shape == ids.shape and whole.dtype == np.uint64,
        component,
        "its finish returns no uint64 ids of the shape it is given.",
    )
    require(bool(np.isin(whole, [0, *np.unique(ids)]).all()), component, "its finish makes ids that were not there.")
    cut = ids.shape[2] // 2 + deep
    part = segment.finish(ids[..., :cut], prediction[..., :cut], (1.0, 1.0, 1.0))
    known = slice(0, cut - halo[2])
    require(
        np.array_equal(part[..., known], whole[..., known]),
        component,
        f"its finish says something else of a part than of the whole, further than its finish_halo of {tuple(halo)} from the cut.",
    )


def _check_names(component: Component, segment: Any) -> None:
    """Require that names of channels are refused with a `DataError`, or understood; and that there may be none."""
    fitted = getattr(segment, "for_channels", None)
    if fitted is None:
        return
    require(callable(fitted(())), component, "its for_channels returns no segmenter for channels without names.")
    try:
        found = fitted(("of", "no", "task"))
    except DataError as error:
        require(str(error), component, "it refuses names of channels without saying why.")
    except Exception as error:
        raise ConformanceError(
            f"{component}: its for_channels fails with {type(error).__name__} for names it does not know: {error}. Raise a "
            "DataError that says which task makes what it reads."
        ) from error
    else:
        require(callable(found), component, "its for_channels returns no segmenter.")


def _two_balls(channels: int, first: tuple[int, int, int]) -> Array:
    """Return two balls of radius 6, their centres 17 voxels apart, with soft rims: ``(channels, 24, 48, 64)``."""
    z, y, x = np.ogrid[:24, :48, :64]
    distance = np.full((24, 48, 64), 99.0)
    for shift in (0, 17):
        cz, cy, cx = first[0], first[1], first[2] + shift
        distance = np.minimum(distance, np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2))
    inside = 1 / (1 + np.exp(1.5 * (distance - 6)))
    return np.repeat(inside[None], channels, axis=0).astype(np.float32)


def _accepted(component: Component, segment: Callable[..., Array]) -> int:
    reason: Exception | None = None
    for channels in range(1, 16):
        try:
            segment(_two_balls(channels, (10, 20, 20)), (1.0, 1.0, 1.0))
        except ValueError as error:
            reason = error
        else:
            return channels
    raise ConformanceError(f"{component}: it refuses predictions of 1 to 15 channels: {reason}") from reason


def _same_partition(one: Array, two: Array) -> bool:
    """Return whether two arrays of ids put the same voxels together."""
    if not np.array_equal(one == 0, two == 0):
        return False
    pairs = {(int(a), int(b)) for a, b in zip(one.ravel(), two.ravel(), strict=True)}
    return len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})


def check_tracer(tracer: Subject, options: Mapping[str, Any] | None = None) -> None:
    """Check a tracer on a slanted tube of 40 x 16 x 16 nm voxels: its cable length, place and shape.

    Parameters
    ----------
    tracer
        The component or its factory.
    options
        Values for its parameters; None for the defaults.

    Raises
    ------
    ConformanceError
        If the cable is not as long as the tube within 15 %, runs outside of it, or is not a tree.
    """
    component, options = as_component("tracers", tracer, options)
    voxel_size = (40.0, 16.0, 16.0)
    begin, end = np.array([200.0, 160.0, 160.0]), np.array([600.0, 500.0, 1100.0])
    radius = 70.0
    grid = np.stack(np.meshgrid(*(np.arange(n) * v for n, v in zip((21, 42, 80), voxel_size)), indexing="ij"), -1)
    away = _distance_to_segment(grid, begin, end)
    mask = away <= radius
    kept = mask.copy()
    trace = component(**options)
    with keeps_global_randomness(component, "calling it"):
        found = trace(mask, voxel_size)
    require(np.array_equal(mask, kept), component, "it changes the mask in place.")
    nodes, edges = np.asarray(found.nodes, float), np.asarray(found.edges)
    require(nodes.ndim == 2 and nodes.shape[1] == 3, component, f"its nodes have the shape {nodes.shape}, not (V, 3).")
    require(edges.ndim == 2 and edges.shape[1] == 2, component, f"its edges have the shape {edges.shape}, not (E, 2).")
    require(
        len(edges) and edges.min() >= 0 and edges.max() < len(nodes),
        component,
        "its edges name nodes that are not there.",
    )
    require(
        len(edges) == len(nodes) - 1,
        component,
        f"it draws {len(nodes)} nodes with {len(edges)} edges; a tree has one less.",
    )
    length = float(np.linalg.norm(nodes[edges[:, 0]] - nodes[edges[:, 1]], axis=1).sum())
    full = float(np.linalg.norm(end - begin)) + 2 * radius  # from tip to tip
    shortest = 0.85 * (full - 2 * radius)  # a skeleton may end at the centres of the round ends
    require(
        shortest <= length <= 1.15 * full,
        component,
        f"it draws a cable of {length:.0f} nm in a tube of {full:.0f} nm (from tip to tip); 15 % off is allowed. Does it use "
        "the voxel size?",
    )
    off = _distance_to_segment(nodes, begin, end)
    require(
        off.max() <= radius + max(voxel_size),
        component,
        f"its cable runs {off.max():.0f} nm from the axis of the tube.",
    )
    again = trace(mask, voxel_size)
    require(np.array_equal(nodes, np.asarray(again.nodes, float)), component, "its nodes differ from call to call.")
    _check_dot(component, trace)


def _distance_to_segment(points: Array, begin: Array, end: Array) -> Array:
    along = end - begin
    share = np.clip((points - begin) @ along / (along @ along), 0, 1)
    result: Array = np.linalg.norm(points - begin - share[..., None] * along, axis=-1)
    return result


def _check_dot(component: Component, trace: Callable[..., Any]) -> None:
    """Require that an object of one voxel does not make it fail."""
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    try:
        trace(mask, (40.0, 16.0, 16.0))
    except Exception as error:
        raise ConformanceError(
            f"{component}: an object of one voxel makes it fail with {type(error).__name__}: {error}. Return a trace of one "
            "node, or an empty one."
        ) from error
