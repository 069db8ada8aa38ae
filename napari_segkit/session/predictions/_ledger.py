"""How far an output is: which of its blocks are written, from the plan and the journal that lie beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from segkit.durable import read_records
from segkit.errors import DataError
from segkit.geometry import Box, Lattice

__all__ = ["DONE", "EMPTY", "FAILED", "RUNNING", "Ledger", "has_ledger", "is_complete"]

EMPTY, DONE, FAILED, RUNNING = 0, 1, 2, 3


def has_ledger(path: Path) -> bool:
    """Return whether a command has begun this output."""
    return (path / ".segkit" / "plan.json").is_file()


def is_complete(path: Path) -> bool:
    """Return whether an output came to its end."""
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
        return bool(attributes["segkit"]["complete"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


class Ledger:
    """The blocks of one output, brought up to date by `update`.

    Parameters
    ----------
    path
        The output.

    Raises
    ------
    DataError
        If it was not begun, or its plan cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.plan: dict[str, Any] = json.loads((path / ".segkit" / "plan.json").read_bytes())["plan"]
            z, y, x = (int(n) for n in self.plan["block_shape"])
            self.lattice = Lattice(Box.of_shape([int(n) for n in self.plan["shape"][-3:]]), (z, y, x))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"{path} has no plan that can be read ({error}). Predict again, under another name."
            ) from error
        self.states = np.zeros(len(self.lattice), np.uint8)
        """One of `EMPTY`, `DONE`, `FAILED` for each block of the finest level."""
        self._position = 0

    def update(self) -> list[int]:
        """Read what was journalled since, and return the blocks of the finest level that were finished."""
        records, self._position = read_records(self.path / ".segkit" / "journal.jsonl", self._position)
        finished = []
        for record in records:
            if record.get("level") != 0:
                continue
            if "hash" in record:
                self.states[record["block"]] = DONE
                finished.append(int(record["block"]))
            elif "failed" in record and self.states[record["failed"]] != DONE:
                self.states[record["failed"]] = FAILED
        return finished

    @property
    def counts(self) -> tuple[int, int, int]:
        """Blocks that are done, that failed, and in all."""
        return int((self.states == DONE).sum()), int((self.states == FAILED).sum()), len(self.states)

    def grid(self, running: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Return the states as ``(z, y, x)`` blocks; where a command is at work, the block that is next is running."""
        states = self.states.copy()
        left = np.flatnonzero(states == EMPTY)
        if running and len(left):
            states[left[0]] = RUNNING
        return states.reshape(self.lattice.counts)

    def line(self) -> str:
        """Return how far it is: ``63 % done, 2 failed``."""
        done, failed, total = self.counts
        share = "all blocks done" if done == total else f"{min(99, int(100 * done / max(total, 1)))} % done"
        return f"{share}, {failed} failed" if failed else share
