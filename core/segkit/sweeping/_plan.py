"""`SweepPlan`: what a sweep does, checked and complete; and the file that people may write it in."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from segkit.errors import DataError, UsageError
from segkit.parameters import bind
from segkit.recipe import Recipe, load_recipe
from segkit.sweeping._dimension import Dimension, dimensions_of
from segkit.sweeping._entries import changed

__all__ = ["SweepPlan", "SweepSettings", "load_plan"]

Search = Literal["grid", "random", "tpe"]
Pruning = Literal["none", "median", "halving"]
Keep = Literal["all", "models", "scores"]


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep searches.

    Parameters
    ----------
    search
        Every combination of the values (grid), combinations drawn at random, or each chosen by what the ones before
        came to (tpe, tree-structured Parzen estimator, Bergstra et al. 2011).
    trials
        Configurations that ``random`` and ``tpe`` try; a grid has as many as it has.
    seeds
        Trainings of each configuration, with seeds that follow the recipe's. All are scored on the same part of the data.
    prune
        Which trainings end early: none; those whose best score is below the median of others at the same step (Golovin
        et al. 2017); or those outside the best third at a ninth and a third of the steps (successive halving, Li et al.
        2020).
    search_seed
        Where the randomness of the search starts.
    threads
        Threads of a training's arithmetic, on which its last bits depend; 0 shares the processor out among the
        workers, or leaves it to those of a cluster that runs already.
    keep
        What stays of a training that has ended: all, its models but no checkpoints, or its scores and curves only.
    """

    search: Search = "grid"
    trials: Annotated[int, Ge(1)] = 20
    seeds: Annotated[int, Ge(1)] = 3
    prune: Pruning = "none"
    search_seed: Annotated[int, Ge(0)] = 0
    threads: Annotated[int, Ge(0)] = 0
    keep: Keep = "models"


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep does.

    Parameters
    ----------
    recipe
        What is trained, where nothing varies.
    dimensions
        What varies.
    settings
        How it is searched.
    """

    recipe: Recipe
    dimensions: tuple[Dimension, ...]
    settings: SweepSettings

    @classmethod
    def of(cls, recipe: Recipe, vary: Mapping[str, Any], *, folder: Path | None = None, **settings: Any) -> SweepPlan:
        """Check what a sweep should do.

        Parameters
        ----------
        recipe
            What is trained, where nothing varies.
        vary
            For each entry of the recipe its values as a list, or text: ``"1e-4,1e-3"``, ``"1e-4..5e-3"``, ``"2..64:6"``
            for six of that range in a grid, or ``""`` for all that its component allows.
        folder
            Where relative data locations among the values start; None for the current folder.
        settings
            See `SweepSettings`.

        Raises
        ------
        UsageError
            If an entry is unknown or a value does not fit.
        """
        chosen = SweepSettings(**bind(SweepSettings, settings, "sweep"))
        return cls(recipe, dimensions_of(recipe.to_mapping(), vary, folder or Path.cwd()), chosen)

    def configurations(self) -> list[dict[str, Any]]:
        """Return the combinations of a grid, the last setting varying fastest."""
        grids = [dimension.grid for dimension in self.dimensions]
        keys = [dimension.key for dimension in self.dimensions]
        return [dict(zip(keys, combination, strict=True)) for combination in itertools.product(*grids)]

    @property
    def trials(self) -> int:
        """Number of configurations."""
        if self.settings.search != "grid":
            return self.settings.trials
        total = 1
        for dimension in self.dimensions:
            total *= len(dimension.grid)
        return total

    @property
    def seeds(self) -> tuple[int, ...]:
        """The recipe's seeds of the trainings of a configuration."""
        return tuple(range(self.recipe.seed, self.recipe.seed + self.settings.seeds))

    def recipe_of(self, values: Mapping[str, Any], seed: int) -> Recipe:
        """Return what one training does.

        Raises
        ------
        UsageError
            If the values do not go together.
        """
        return changed(self.recipe.to_mapping(), values, seed)

    def to_mapping(self) -> dict[str, Any]:
        """Return the plan as nested tables of plain values."""
        return {
            "recipe": self.recipe.to_mapping(),
            "dimensions": [asdict(dimension) for dimension in self.dimensions],
            "settings": asdict(self.settings),
        }

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> SweepPlan:
        """Return the plan that `to_mapping` wrote."""
        dimensions = [
            Dimension(**{**entry, "values": tuple(tuple(v) if isinstance(v, list) else v for v in entry["values"])})
            for entry in data["dimensions"]
        ]
        return cls(Recipe.from_mapping(data["recipe"]), tuple(dimensions), SweepSettings(**data["settings"]))

    def differences(self, other: SweepPlan) -> list[str]:
        """Return in what two plans compute different things, as ``key: mine -> theirs``.

        More trials or seeds and another `keep` compute nothing else: what has been done stays as it is.
        """
        found = self.recipe.differences(other.recipe)
        mine, theirs = ({d.key: d for d in plan.dimensions} for plan in (self, other))
        for key in {**mine, **theirs}:
            if mine.get(key) != theirs.get(key):
                texts = [found_.text if found_ else "not varied" for found_ in (mine.get(key), theirs.get(key))]
                found.append(f"{key}: {texts[0]} -> {texts[1]}")
        if [*mine] != [*theirs] and not found:
            found.append("the settings stand in another order")
        for key in ("search", "prune", "search_seed", "threads"):
            values = getattr(self.settings, key), getattr(other.settings, key)
            if values[0] != values[1]:
                found.append(f"{key}: {values[0]} -> {values[1]}")
        return found


def load_plan(
    path: str | Path,
    vary: Mapping[str, Any] | None = None,
    overrides: Mapping[str, str] | None = None,
    **settings: Any,
) -> SweepPlan:
    """Read what a sweep does, from a recipe or from a sweep file.

    A sweep file is TOML with ``recipe = "file.toml"``, a table ``[vary]`` and, beside ``recipe``, settings of
    `SweepSettings`.

    Parameters
    ----------
    path
        The recipe or the sweep file.
    vary
        What varies; goes over what a sweep file says of the same entry, and adds to it.
    overrides
        Entries of the recipe to change, as text; see `segkit.recipe.load_recipe`.
    settings
        See `SweepSettings`; they go over what a sweep file says.

    Raises
    ------
    DataError
        If a file is missing or is not TOML.
    UsageError
        If something in it does not fit.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path.suffix == ".toml" and path.is_file() else {}
    except (ValueError, OSError) as error:
        raise DataError(f"The file {path} cannot be read: {error}. Correct that place in it.") from error
    vary = dict(vary or {})
    if "vary" not in data and not isinstance(data.get("recipe"), str):
        return SweepPlan.of(load_recipe(path, overrides), vary, folder=path.parent, **settings)
    recipe, table = data.pop("recipe", None), data.pop("vary", {})
    if not isinstance(recipe, str) or not isinstance(table, dict):
        raise UsageError(
            f'The sweep file {path} must name its recipe, as in recipe = "recipe.toml", and what varies in a table [vary].'
        )
    return SweepPlan.of(
        load_recipe(path.parent / recipe, overrides),
        _flat(table) | vary,
        folder=path.parent,
        **(data | settings),
    )


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested tables, as TOML makes them of dotted keys without quotes."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
