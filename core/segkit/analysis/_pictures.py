"""Pictures of samples with the outlines of what is labelled in them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.analysis._findings import Finding, find
from segkit.analysis._objects import as_ids
from segkit.analysis._survey import Survey
from segkit.contracts import Sample
from segkit.geometry import Box
from segkit.sampling._index import read_known

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_samples", "png", "worth_seeing"]

Array = np.ndarray[Any, Any]

_SIDE = 640  # pixels of a drawn sample
_LONGEST = 1024  # voxels along the longer side of what is drawn
_PLANES = 9
_COLUMNS = 4
_MOST = 8
_FEW = 2  # samples up to which several planes of each are drawn
_OUTLINE = (1.0, 0.80, 0.0)


@dataclass(frozen=True, slots=True)
class _View:
    """A plane of a sample: grey or colour ``(Y, X, 3)``, ids and where they are known ``(Y, X)``."""

    picture: Array
    ids: Array
    known: Array
    where: str


def worth_seeing(survey: Survey, findings: Sequence[Finding] | None = None) -> list[tuple[int, str]]:
    """Return up to 8 rows of the fingerprint that should be looked at, each with what it is an example of."""
    rows = survey.fingerprint.rows
    counted = sorted((row.objects, number) for number, row in enumerate(rows) if row.objects is not None)
    chosen: dict[int, str] = {}
    if counted:
        for at, name in ((0, "fewest objects"), (len(counted) // 2, "median"), (-1, "most objects")):
            chosen.setdefault(counted[at][1], f"{name}: {counted[at][0]}")
    else:
        order = sorted(range(len(rows)), key=lambda number: rows[number].mean)
        for at, name in ((0, "darkest"), (len(order) // 2, "median"), (-1, "brightest")):
            chosen.setdefault(order[at], name)
    chosen.setdefault(max(range(len(rows)), key=lambda number: rows[number].mean), "brightest")
    by_name = {row.name: number for number, row in enumerate(rows)}
    told = [f for f in (find(survey) if findings is None else findings) if f.samples and len(f.samples) < len(rows)]
    for rank in range(_COLUMNS):
        for finding in told:
            if rank < len(finding.samples):
                chosen.setdefault(by_name.get(finding.samples[rank], 0), _headline(finding))
    return list(chosen.items())[:_MOST]


def _headline(finding: Finding) -> str:
    start = finding.text.split(" (", 1)[0]
    return start[0].lower() + start[1:] if finding.kind == "outliers" else finding.kind


def draw_samples(survey: Survey, findings: Sequence[Finding] | None = None) -> bytes:
    """Draw samples with outlines of their labels: those with few and many objects, and those that findings are about.

    Where labels are classes, each has a colour of its own. What is not labelled is darker where most of it is labelled.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.figure import Figure

    chosen = worth_seeing(survey, findings)
    views = [(_view(survey.samples[survey.numbers[row]]), row, why) for row, why in chosen]
    if len(chosen) <= _FEW:
        views = [(view, row, "") for row, _ in chosen for view in _planes(survey.samples[survey.numbers[row]])] or views
    columns = min(_COLUMNS, len(views))
    lines = -(-len(views) // columns)
    tallest = max(view.picture.shape[0] / view.picture.shape[1] for view, _, _ in views)
    figure = Figure(figsize=(3.1 * columns, lines * (3.1 * min(tallest, 2) + 0.35)), dpi=110, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    several = sum(count.id != 0 for count in survey.fingerprint.labels.classes) > 1
    marks = survey.fingerprint.labels.object_voxels is not None and survey.fingerprint.labels.object_voxels.p95 <= 4
    for place, (view, row, why) in zip(axes, views, strict=False):
        name = survey.fingerprint.rows[row].name
        title = f"{name if len(name) < 38 else '...' + name[-35:]}{view.where}"
        place.set_title(f"{why}\n{title}" if why else title, fontsize=8, pad=3)
        _draw(place, view, several, marks)
    for place in axes:
        place.set_axis_off()
    return png(figure)


def png(figure: Any) -> bytes:
    """Return a figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw(axes: Axes, view: _View, several: bool, marks: bool) -> None:
    scale = max(1, round(_SIDE / max(view.ids.shape)))
    picture = view.picture.repeat(scale, axis=0).repeat(scale, axis=1)
    ids = view.ids.repeat(scale, axis=0).repeat(scale, axis=1)
    if not view.known.all() and view.known.mean() > 0.5:
        known = view.known.repeat(scale, axis=0).repeat(scale, axis=1)
        picture = np.where(known[..., None], picture, 0.45 * picture)
    if not marks:
        edge = np.zeros(ids.shape, bool)
        edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
        edge[1:] |= ids[1:] != ids[:-1]
        edge[:, :-1] |= edge[:, 1:].copy()  # two pixels wide
        edge[:-1] |= edge[1:].copy()
        colours = np.broadcast_to(np.array(_OUTLINE), (*ids.shape, 3))
        if several:
            near = np.max([np.roll(ids, shift, axis) for shift in (1, -1, 2, -2) for axis in (0, 1)], axis=0)
            colours = _class_colours(np.where(ids == 0, near, ids))
        picture = np.where(edge[..., None], colours, picture)
    axes.imshow(picture, interpolation="antialiased", aspect="equal")
    if marks:
        y, x = np.nonzero(view.ids)
        axes.scatter(
            scale * (x + 0.5), scale * (y + 0.5), s=26, facecolors="none", edgecolors=[_OUTLINE], linewidths=0.8
        )
    if several:
        for number in np.unique(ids[ids != 0]):
            axes.plot([], [], "s", color=_class_colours(np.array([number]))[0], label=str(number))
        axes.legend(fontsize=6, loc="lower right", framealpha=0.7, borderpad=0.3, labelspacing=0.1, handletextpad=0.1)


def _class_colours(ids: Array) -> Array:
    from matplotlib import colormaps

    found: Array = colormaps["tab20"]((ids.astype(np.int64) - 1) % 20)[..., :3]
    return found


def _planes(sample: Sample) -> list[_View]:
    """Return four planes of a solid; none of a plane."""
    depth = sample.raw.spatial_shape[0]
    return [_view(sample, round(at * (depth - 1))) for at in (0.1, 0.37, 0.63, 0.9)] if depth >= _COLUMNS else []


def _view(sample: Sample, at: int | None = None) -> _View:
    """Read a plane, or the one that holds most foreground, at most 1024 voxels wide, from the middle of the sample."""
    depth, height, width = sample.raw.spatial_shape
    y, x = (max(0, (n - _LONGEST) // 2) for n in (height, width))
    if at is not None:
        return _seen(sample, _plane(at, y, x, height, width), f", z {at}")
    planes = sorted({int(z) for z in np.linspace(0, depth - 1, min(depth, _PLANES) + 2)[1:-1].round()})
    best, most = planes[len(planes) // 2], -1
    for z in planes if sample.labels is not None and depth > 1 else ():
        ids, known = _labels(sample, _plane(z, y, x, height, width))
        held = int(np.count_nonzero(ids)) or int(np.count_nonzero(known)) // 1_000_000
        if held > most:
            best, most = z, held
    return _seen(sample, _plane(best, y, x, height, width), f", z {best}" if depth > 1 else "")


def _seen(sample: Sample, box: Box, where: str) -> _View:
    ids, known = _labels(sample, box)
    block = sample.raw.read(box).reshape(sample.raw.channels, *box.shape)[:, 0].astype(np.float64)
    return _View(_coloured(block), ids, known, where)


def _plane(z: int, y: int, x: int, height: int, width: int) -> Box:
    return Box((z, y, x), (z + 1, min(height, y + _LONGEST), min(width, x + _LONGEST)))


def _labels(sample: Sample, box: Box) -> tuple[Array, Array]:
    nothing = np.zeros(box.shape[1:], np.uint8), np.ones(box.shape[1:], bool)
    if sample.labels is None or sample.labels.channels > 1:
        return nothing
    labels, known = read_known(sample, box)
    ids = as_ids(labels)
    return nothing if ids is None else (np.where(known, ids, 0)[0], known[0])


def _coloured(block: Array) -> Array:
    """Return ``(C, Y, X)`` as a picture: three or four channels as red, green and blue, any other number as their mean."""
    shown = block[:3] if len(block) in (3, 4) else np.nanmean(block, axis=0, keepdims=True)
    out = []
    for channel in shown:
        finite = channel[np.isfinite(channel)]
        low, high = np.percentile(finite, [0.5, 99.7]) if finite.size else (0.0, 1.0)
        out.append(np.nan_to_num(((channel - low) / max(float(high - low), 1e-9)).clip(0, 1)))
    picture: Array = np.stack(out if len(out) == 3 else out * 3, axis=-1)
    return picture
