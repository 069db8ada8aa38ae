"""The project folder: everything that a session makes lies in it, under names that people can read.

``project.json`` (state of the session), ``annotations/*.zarr``, ``layers/*.zarr`` (layers that were only in memory),
``runs/*`` (run folders), ``predictions/*.zarr``, ``segmentations/*.zarr``, ``traces/*``, ``jobs/*`` (what was started, and
what it said) and ``.trash/`` (what was removed, until it is emptied by hand).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_segkit.session._writing import writer
from napari_segkit.session.trainings._run_folder import runs_in
from segkit.durable import lock, make_dirs
from segkit.errors import DataError

__all__ = ["RESULTS", "Project"]

RESULTS = ("predictions", "segmentations", "traces")


class Project:
    """A project folder.

    Parameters
    ----------
    folder
        Where it is; made when something is first kept in it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def place(self, part: str) -> Path:
        """Return a subfolder, after making it."""
        folder = self.folder / part
        make_dirs(folder)
        return folder

    def free(self, part: str, stem: str, suffix: str = "") -> Path:
        """Return a path in a subfolder that does not exist yet: ``stem``, else ``stem-2``, ``stem-3`` and so on."""
        number, folder = 1, self.place(part)
        path = folder / f"{stem}{suffix}"
        while path.exists():
            number += 1
            path = folder / f"{stem}-{number}{suffix}"
        return path

    def new_run(self) -> Path:
        """Return a folder for a new run, which is not made."""
        number, runs = 1, self.folder / "runs"
        while (runs / f"run-{number}").exists():
            number += 1
        return runs / f"run-{number}"

    @property
    def runs(self) -> list[Path]:
        """Run folders, the latest first."""
        return runs_in(self.folder / "runs")

    def results(self, part: str) -> list[Path]:
        """Return what there is of ``predictions``, ``segmentations`` or ``traces``, the latest first."""
        folder = self.folder / part
        found = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def read_state(self) -> dict[str, Any]:
        """Return what the session remembered, empty for a new project.

        Raises
        ------
        DataError
            If ``project.json`` is damaged.
        """
        path = self.folder / "project.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read ({error}). Runs and results in the project are not affected; move the file away to "
                "start with an empty form."
            ) from error
        return state if isinstance(state, dict) else {}

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace what the session remembers."""
        make_dirs(self.folder)
        body = json.dumps(state, indent=1, allow_nan=False).encode()
        writer.replace(self.folder / "project.json", body)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other sessions out while the block runs.

        Raises
        ------
        BusyError
            If another session has the project open.
        """
        make_dirs(self.folder)
        with lock(self.folder / "project.lock", f"The project {self.folder}"):
            yield

    def trash(self, path: Path) -> Path:
        """Move a file or folder of the project into its trash, and return where it is now."""
        target = self.place(".trash") / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{path.name}"
        path.rename(target)
        return target
