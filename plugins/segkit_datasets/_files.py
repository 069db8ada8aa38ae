"""Samples of files: patterns are expanded and paired at once, the files are opened one by one when asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import overload

from segkit import Box, Sample, Volume, open_volume
from segkit.alignment import align
from segkit.errors import DataError, UsageError
from segkit.volume import Spacing

from ._marks import grown

Sources = tuple[str, str | None, str | None]


def natural(text: str) -> list[tuple[bool, int, str]]:
    """Return the key that sorts names as people do: 2 before 10."""
    parts = (part for part in re.split(r"(\d+)", text.lower()) if part)
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _glob(pattern: str) -> list[str]:
    # Brackets are letters of a name here: folders called "run[1]" are common, classes of characters are not.
    return glob(pattern.replace("[", "[[]"), recursive=True)  # noqa: PTH207 (pathlib takes no absolute patterns)


def alternatives(source: str) -> list[str]:
    """Return what a pattern such as ``{train,extra}/*.tif`` stands for, in the order written."""
    opened = re.search(r"\{([^{}]*,[^{}]*)\}", source)
    if opened is None or Path(source).exists():
        return [source]
    before, after = source[: opened.start()], source[opened.end() :]
    return [found for part in opened[1].split(",") for found in alternatives(before + part.strip() + after)]


def expand(source: str) -> list[str]:
    """Return the sources that a pattern finds: each alternative's in natural order; no pattern finds itself."""
    parts = alternatives(source)
    if len(parts) > 1:
        return [found for part in parts for found in expand(part)]
    if "://" in source or not {"*", "?"} & set(source) or Path(source).exists():
        return [source]
    found, dataset = _glob(source), ""
    if not found and ":" in source:  # crops/*.h5:raw
        path, _, name = source.rpartition(":")
        found, dataset = _glob(path), f":{name}"
    if not found:
        raise DataError(
            f"The pattern {source} finds no file. Check the spelling (relative paths start from {Path.cwd()})."
        )
    return [path + dataset for path in sorted(found, key=natural)]


def weighted(count: int, raw: str, weights: Sequence[float]) -> Sequence[float]:
    """Return a weight for each of `count` images."""
    if weights and len(weights) != count:
        raise UsageError(
            f"`weights` has {len(weights)} numbers, but `raw` ({raw}) finds {count} images (or boxes of one). Give one for each, "
            "in the order in which they are found, or none at all."
        )
    return weights or (1.0,) * count


def _stems(sources: Sequence[str]) -> set[str]:
    return {Path(source).stem for source in sources}


def paired(raw: str, labels: str | None, mask: str | None, boxes: bool = False) -> list[Sources]:
    """Expand the three patterns and pair what they find, in natural order; with boxes, one image is for all labels."""
    images = expand(raw)
    if boxes:
        return _boxes_of(images, raw, labels, mask)
    columns: list[Sequence[str | None]] = [images]
    for what, pattern in (("labels", labels), ("mask", mask)):
        if pattern is None:
            columns.append([None] * len(images))
            continue
        others = expand(pattern)
        lonely = sorted(_stems(images) ^ _stems(others), key=natural)
        named = f"without a partner of the same name: {', '.join(lonely[:5])}{' ...' if len(lonely) > 5 else ''}"
        if len(others) != len(images):
            raise UsageError(
                f"`raw` ({raw}) finds {len(images)} and `{what}` ({pattern}) finds {len(others)}; they are paired in natural "
                f"order and must be as many. {named.capitalize()}. Remove these, or narrow the patterns."
            )
        if lonely and 2 * len(_stems(images) & _stems(others)) > len(lonely):
            # Mostly the same names on both sides: pairing the rest by order would join strangers.
            raise UsageError(
                f"`raw` ({raw}) and `{what}` ({pattern}) both find {len(images)}, but not the same: {named}. Rename these, or "
                "narrow the patterns."
            )
        columns.append(others)
    return list(zip(*columns, strict=True))


def _boxes_of(images: list[str], raw: str, labels: str | None, mask: str | None) -> list[Sources]:
    if len(images) != 1 or labels is None:
        raise UsageError(
            f"`boxes` are of one image, but `raw` ({raw}) finds {len(images)} and `labels` is {labels!r}. Name one image and the "
            "labels of its boxes, or leave `boxes` out."
        )
    return [(images[0], box, known) for box, _, known in paired(labels, None, mask)]


@dataclass(eq=False)
class FileSamples(Sequence[Sample]):
    """A sequence of samples, each opened when it is first asked for."""

    sources: list[Sources]
    boxes: bool
    region: str
    unlabelled: int | None
    voxel_size: Spacing | None
    weights: Sequence[float]
    mark_radius: float = 0.0
    _opened: dict[int, Sample] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if at not in self._opened:
            self._opened[at] = self._open(at)
        return self._opened[at]

    def _open(self, at: int) -> Sample:
        source, labels, mask = self.sources[at]
        if self.boxes:
            return self._box(at)
        name = Path(source).name
        if sum(Path(other[0]).name == name for other in self.sources) > 1:
            name = source  # cells/a/image.png, cells/b/image.png
        return Sample(
            name,
            self._volume(source),
            None if labels is None else self._labels(self._volume(labels)),
            None if mask is None else self._volume(mask),
            self.unlabelled,
            self.weights[at],
        )

    def _box(self, at: int) -> Sample:
        source, labels, mask = self.sources[at]
        raw, known = self._volume(source), {"labels": labels, "mask": mask}
        others = {what: open_volume(other, voxel_size=self.voxel_size) for what, other in known.items() if other}
        shared, shifts = align(raw, others, raw.box)
        cut = {what: other.crop(shared.shift(shifts[what])) for what, other in others.items()}
        name = f"{Path(source).name}, {Path(str(labels)).name}"
        return Sample(
            name, raw.crop(shared), self._labels(cut["labels"]), cut.get("mask"), self.unlabelled, self.weights[at]
        )

    def _labels(self, labels: Volume) -> Volume:
        return grown(labels, self.mark_radius, self.unlabelled) if self.mark_radius else labels

    def _volume(self, source: str) -> Volume:
        volume = open_volume(source, voxel_size=self.voxel_size)
        return volume.crop(Box.parse(self.region, volume.box)) if self.region else volume
