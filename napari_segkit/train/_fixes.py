"""Ways out of failed trainings that are one click away."""

from __future__ import annotations

import warnings
from typing import Any

from qtpy.QtCore import QObject

from napari_segkit.session import Job, Problem
from segkit.errors import SegkitError
from segkit.recipe import load_recipe
from segkit.registry import plugins

__all__ = ["Fixes"]

SMALLEST_SIDE = 16


class Fixes(QObject):  # type: ignore[misc]
    """The fixes that the page Train offers, registered with the session.

    Parameters
    ----------
    page
        The page Train.
    """

    def __init__(self, page: Any) -> None:
        super().__init__(page)
        self._page = page
        page.session.fixes.update(
            smaller_patch=self.smaller_patch,
            lower_rate=self.lower_rate,
            show_form=self.show_form,
            show_plugins=self.show_plugins,
        )

    def lower_rate(self, job: Job) -> None:
        """Go on from the last good checkpoint with 0.3 times the learning rate, in a new run."""
        self._start(lambda: self._page.trainings.lower_rate(job.output))

    def smaller_patch(self, job: Job) -> None:
        """Train again with a patch of about half the voxels, from the last checkpoint if there is one."""
        if job.kind != "train":
            return

        def start() -> Any:
            trainings, recipe = self._page.trainings, load_recipe(job.arguments[1])
            tables = recipe.to_mapping()
            shape = list(recipe.sampling.patch_shape)
            batch = recipe.sampling.batch_size
            if max(shape) > SMALLEST_SIDE:
                for axis in sorted(range(3), key=lambda a: -shape[a])[:2]:
                    shape[axis] = max(SMALLEST_SIDE, int(shape[axis] * 0.75) // 8 * 8) if shape[axis] > 1 else 1
            tables["sampling"] = {
                **tables["sampling"],
                "patch_shape": shape,
                "batch_size": batch if shape != list(recipe.sampling.patch_shape) else max(1, batch // 2),
            }
            if trainings.checkpoints(job.output):
                return trainings.branch(job.output, tables)
            run = self._page.session.project.new_run()
            return trainings.start(trainings.write(tables, run.name), trainings.reserve(run.name))

        self._start(start)

    def show_form(self, job: Any = None) -> None:
        """Show the form, so that what is wrong in it can be changed."""
        self._page.session.page_wanted.emit(self._page.title)
        self._page.starting.declined = True
        self._page.follow(None)
        self._page.setup_fold.open()

    def show_plugins(self, job: Any = None) -> None:
        """Say which plugins could not be loaded, and how to install them again."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are listed right here
            broken = [info for info in plugins() if info.error]
        if not broken:
            self._page.session.say("All installed plugins were loaded.")
            return
        details = "\n\n".join(
            f"{info.name} ({info.distribution} {info.version}): {info.error}\n{info.traceback}" for info in broken
        )
        names = ", ".join(info.name for info in broken)
        self._page.session.report(
            Problem(f"These plugins could not be loaded: {names}. Details say why.", details, page=self._page.title)
        )

    def _start(self, start: Any) -> None:
        try:
            job = start()
        except (SegkitError, OSError) as error:
            self._page.session.report(error, self._page.title)
            return
        self._page.follow(job.output)
