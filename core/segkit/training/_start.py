"""Where a new run starts, if not from nothing: from a checkpoint of another run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import DataError, UsageError
from segkit.recipe import Recipe
from segkit.training._checkpoint import Progression, newest_checkpoint
from segkit.training._run import Run

__all__ = ["Start"]

# Entries of a recipe that decide which weights there are.
_SAME = ("task", "architecture")


@dataclass(frozen=True)
class Start:
    """A checkpoint of another run.

    Parameters
    ----------
    run
        The other run.
    step
        Which checkpoint; it is there.
    """

    run: Run
    step: int

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, step: int | None) -> Start:
        """Check that a run of `recipe` can start there.

        Raises
        ------
        UsageError
            If the weights would not fit, there is no such checkpoint, or nothing would be left to do.
        DataError
            If the folder holds no run.
        """
        run = Run(folder)
        differences = [d for d in run.recipe.differences(recipe) if d.partition(":")[0].partition(".")[0] in _SAME]
        if differences:
            raise UsageError(
                f"A run cannot start from {folder}, whose network is another one: {'; '.join(differences[:5])}. Choose the same "
                "task and architecture, or start from nothing."
            )
        there = sorted(int(path.parent.name) for path in (folder / "checkpoints").glob("[0-9]*/state.json"))
        if not there or (step is not None and step not in there):
            which = "none" if not there else f"those behind the steps {', '.join(map(str, there))}"
            raise UsageError(
                f"A run cannot start from step {'of the newest checkpoint' if step is None else step} of {folder}: of its "
                f"checkpoints there {'is' if not there else 'are'} {which}. Name one of them, or start from nothing."
            )
        chosen = there[-1] if step is None else step
        if chosen >= recipe.training.steps:
            raise UsageError(
                f"`training.steps` is {recipe.training.steps}, and {folder} is at step {chosen} already, from where the steps are "
                "counted on. Choose more steps."
            )
        return cls(run, chosen)

    @property
    def record(self) -> dict[str, Any]:
        """What a run remembers of it."""
        return {"run": str(self.run.folder.absolute()), "step": self.step}

    def restored(self, recipe: Recipe) -> tuple[Progression, dict[str, Any]]:
        """Return its count of steps, weights and (for the same kind of optimizer) state, but none of its scores.

        Raises
        ------
        DataError
            If the checkpoint is damaged.
        """
        found = newest_checkpoint(self.run.folder / "checkpoints", self.step)
        if found is None:
            raise DataError(f"The checkpoint {self.step} of {self.run.folder} is gone. Start from another one.")
        progression, parts = found
        if self.run.recipe.optimizer.name != recipe.optimizer.name:
            parts = {**parts, "optimizer": {}, "values": {}}
        # Other data or losses give other scores: the first validation is the best until another one is better.
        return Progression(step=progression.step, scaler=progression.scaler), parts
