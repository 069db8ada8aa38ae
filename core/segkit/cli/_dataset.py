"""The data that a command is about: those of a recipe, or images and labels named on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.cli._options import parse_options, parse_overrides

if TYPE_CHECKING:
    from segkit.recipe import Recipe, Selection

__all__ = ["NamedData", "dataset_options"]


@dataclass(frozen=True)
class NamedData:
    """The data that a command is about, as they were named.

    Parameters
    ----------
    place
        A recipe (.toml or .json), or images.
    labels, mask, unlabelled, voxel_size
        What is known of the images; None where a recipe says it.
    """

    place: str
    labels: str | None = None
    mask: str | None = None
    unlabelled: int | None = None
    voxel_size: tuple[float, float, float] | None = None

    @property
    def is_recipe(self) -> bool:
        """Whether a recipe says what they are."""
        return self.place.endswith((".toml", ".json"))

    def dataset(self, pairs: tuple[str, ...]) -> tuple[Recipe | None, Selection]:
        """Return the recipe, if one was named, and the dataset.

        Parameters
        ----------
        pairs
            Entries of the recipe to change, or more options of the dataset ``files``, as ``key=value``.

        Raises
        ------
        UsageError
            If a recipe is named and labels too, or an option does not fit.
        """
        from segkit.errors import UsageError
        from segkit.parameters import bind
        from segkit.recipe import Selection, load_recipe
        from segkit.registry import registries

        known = {name: getattr(self, name) for name in ("labels", "mask", "unlabelled", "voxel_size")}
        given = {name: value for name, value in known.items() if value is not None}
        if self.is_recipe:
            if given:
                raise UsageError(
                    f"{self.place} is a recipe, which says itself what its data are, but --{next(iter(given)).replace('_', '-')} was "
                    "given too. Leave it out, or change the recipe with -o dataset.labels=PLACE."
                )
            recipe = load_recipe(self.place, parse_overrides(pairs))
            return recipe, recipe.dataset
        component = registries["datasets"]["files"]
        options = {**given, **parse_options("datasets", "files", pairs)}
        placed = {key: _absolute(value) if key in ("labels", "mask") else value for key, value in options.items()}
        bound = bind(component.factory, {"raw": _absolute(self.place), **placed}, "dataset")
        return None, Selection(component.qualified, bound)


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument DATA and what is known of it, given together as `NamedData`, and ``--objects``."""

    @wraps(command)
    def with_data(
        data: str,
        labels: str | None,
        mask: str | None,
        unlabelled: int | None,
        voxel_size: tuple[float, float, float] | None,
        **others: Any,
    ) -> Any:
        return command(NamedData(data, labels, mask, unlabelled, voxel_size), **others)

    taken: Callable[..., Any] = with_data
    for add in (
        click.option("--objects/--classes", "objects", default=None, help="What the ids are. Default: found out."),
        click.option(
            "--voxel-size", type=(float, float, float), metavar="Z Y X", help="In nm, where the files do not say it."
        ),
        click.option("--unlabelled", type=int, metavar="ID", help="The id in the labels that means 'not annotated'."),
        click.option("--mask", help="Where the labels are known (not 0)."),
        click.option(
            "--labels", help="What is known of the images: ids of objects or classes, or restored images; patterns too."
        ),
        click.argument("data"),
    ):
        taken = add(taken)
    return taken


def _absolute(place: object) -> object:
    return place if not isinstance(place, str) or "://" in place else str(Path(place).expanduser().absolute())
