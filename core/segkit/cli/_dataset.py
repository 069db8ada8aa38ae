"""The data that a command is about: those of a recipe, or images and labels named on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.cli._options import parse_options, parse_overrides

if TYPE_CHECKING:
    from segkit.recipe import Recipe, Selection

__all__ = ["chosen_dataset", "dataset_options"]


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument DATA and what is known of it: `chosen_dataset` takes all but ``objects``."""
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
        command = add(command)
    return command


def chosen_dataset(
    data: str,
    labels: str | None,
    mask: str | None,
    unlabelled: int | None,
    voxel_size: tuple[float, float, float] | None,
    pairs: tuple[str, ...],
) -> tuple[Recipe | None, Selection]:
    """Return the recipe that was named, if one was, and the dataset.

    Parameters
    ----------
    data
        A recipe (.toml or .json), or images.
    labels, mask, unlabelled, voxel_size
        What is known of the images; None where a recipe says it.
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

    named = {"labels": labels, "mask": mask, "unlabelled": unlabelled, "voxel_size": voxel_size}
    given = {key: value for key, value in named.items() if value is not None}
    if data.endswith((".toml", ".json")):
        if given:
            raise UsageError(
                f"{data} is a recipe, which says itself what its data are, but --{next(iter(given)).replace('_', '-')} was given too. "
                "Leave it out, or change the recipe with -o dataset.labels=PLACE."
            )
        recipe = load_recipe(data, parse_overrides(pairs))
        return recipe, recipe.dataset
    component = registries["datasets"]["files"]
    options = {**given, **parse_options("datasets", "files", pairs)}
    placed = {key: _absolute(value) if key in ("labels", "mask") else value for key, value in options.items()}
    return None, Selection(component.qualified, bind(component.factory, {"raw": _absolute(data), **placed}, "dataset"))


def _absolute(place: object) -> object:
    return place if not isinstance(place, str) or "://" in place else str(Path(place).expanduser().absolute())
