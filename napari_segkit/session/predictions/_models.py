"""Trained models as the viewer sees them: what a run or package holds, read without loading torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from napari_segkit.session.trainings._run_folder import contents_of, is_run
from segkit.errors import DataError
from segkit.volume import Spacing

__all__ = ["FOLLOWING", "SEGMENTERS", "ModelCard", "model_with_hash", "packages_in", "read_card"]

# What usually cuts the predictions of a task, the best first.
SEGMENTERS: Mapping[str, tuple[str, ...]] = {
    "boundaries": ("watershed", "components"),
    "affinities": ("mutex_watershed", "agglomeration"),
    "centre_offsets": ("centres",),
    "distances": ("distance_watershed",),
    "semantic": ("components",),
    "flood_filling": ("flood_fill",),
}
FOLLOWING = ("flood_filling",)
"""Tasks whose networks predict nothing by themselves: a segmenter calls them on the image."""

_FRACTIONS = ("boundaries", "affinities", "semantic")


@dataclass(frozen=True)
class ModelCard:
    """What is known of a trained model.

    Parameters
    ----------
    package
        Its folder.
    task, architecture
        Bare names.
    options
        Options of the architecture.
    voxel_size, unit
        Of the images it was trained on.
    channels
        Channels that an image must have.
    step, score
        After how many steps it was kept, and the first of its scores in words; 0 and empty where unknown.
    data
        Name of what it was trained on; empty where unknown.
    """

    package: Path
    task: str
    architecture: str
    options: Mapping[str, Any]
    voxel_size: Spacing
    unit: str
    channels: int
    step: int = 0
    score: str = ""
    data: str = ""

    @property
    def fractions(self) -> bool:
        """Whether its outputs lie between 0 and 1."""
        return self.task in _FRACTIONS

    @property
    def predicts(self) -> bool:
        """Whether it predicts an image by itself."""
        return self.task not in FOLLOWING

    @property
    def size_text(self) -> str:
        """Voxel size in words."""
        return _size(self.voxel_size, self.unit)

    def lines(self) -> list[str]:
        """Return what a card shows: network and task, then data and voxel size, then the score."""
        few = [f"{name} {self.options[name]}" for name in ("width", "depth") if name in self.options]
        told = [
            f"{self.architecture.replace('_', ' ')}{', ' if few else ''}{', '.join(few)}",
            self.task.replace("_", " "),
        ]
        seen = [part for part in (self.data and f"trained on {self.data}", self.size_text) if part]
        how = [
            part
            for part in (self.step and f"step {self.step:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"), self.score)
            if part
        ]
        return [" · ".join(map(str, parts)) for parts in (told, seen, how) if parts]


def _size(size: Spacing, unit: str) -> str:
    return f"{' × '.join(f'{length:g}' for length in size)} nm" if unit == "nm" else "voxel size not known"


def packages_in(place: Path) -> dict[str, Path]:
    """Return the models of a run, ``best`` and ``final`` as far as they exist, or the package itself as ``best``."""
    found = {"best": place / "model", "final": place / "final"} if is_run(place) else {"best": place}
    return {name: path for name, path in found.items() if (path / "model.json").is_file()}


def read_card(package: Path) -> ModelCard:
    """Read what a package says of itself.

    Raises
    ------
    DataError
        If it is no model package, or damaged.
    """
    try:
        body = json.loads((package / "model.json").read_text(encoding="utf-8"))
        z, y, x = (float(size) for size in body["voxel_size"])
        details = dict(body.get("details") or {})
        card = ModelCard(
            package,
            _bare(body["task"]["name"]),
            _bare(body["architecture"]["name"]),
            dict(body["architecture"]["options"]),
            (z, y, x),
            str(body["unit"]),
            int(body["in_channels"]),
            int(details.get("step") or 0),
            _score(details),
            _data(package.parent),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{package} holds no model that can be read ({error}). Choose a run folder, or a folder with model.json in it."
        ) from error
    return card


def _bare(name: str) -> str:
    return name.rpartition(":")[2]


def _score(details: Mapping[str, Any]) -> str:
    scores = dict(details.get("metrics") or {})
    if isinstance(details.get("loss"), int | float):
        scores["loss"] = details["loss"]
    name = next((name for name, value in scores.items() if isinstance(value, int | float)), "")
    return f"{name.replace('_', ' ')} {scores[name]:.3g}" if name else ""


def _data(run: Path) -> str:
    try:
        raw = contents_of(run).raw if is_run(run) else ""
    except DataError:
        return ""
    return Path(raw.rstrip("/").partition("#")[0]).name if raw else ""


def model_with_hash(digest: str, places: list[Path]) -> Path | None:
    """Return the package among runs and packages that a prediction was made with, given the hash in its plan."""
    for place in places:
        for package in packages_in(place).values():
            if sha256((package / "model.json").read_bytes()).hexdigest() == digest:
                return package
    return None
