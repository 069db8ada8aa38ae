"""From an image to traces: predict, segment and trace, one after the other, also across sessions. Knows no Qt.

What follows a job is kept in the job itself (``extra["then"]``), so that a viewer that is opened later goes on with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segkit.session.jobs._job import Job, Kind
from napari_segkit.session.predictions._predictions import Prediction, again, options_of

if TYPE_CHECKING:
    from napari_segkit.session._session import Session

__all__ = ["Stages", "stem_of"]

_HASH = re.compile(r"-[0-9a-f]{12}$")  # layers that were written into the project have one in their name

_PLACES: dict[str, tuple[str, str]] = {
    "predict": ("predictions", ".zarr"),
    "segment": ("segmentations", ".zarr"),
    "trace": ("traces", ""),
}
_VERBS = {"predict": "predict", "segment": "segment", "trace": "trace"}


def stem_of(source: str) -> str:
    """Return what to call something that is made of a source: its name without folder and ending."""
    place = source.partition("#")[0].rstrip("/")
    path = place.rpartition(":")[0] if ":" in Path(place).name else place
    parts = [part for part in Path(path or place).parts if part not in ("/", "\\")]
    named = next((part for part in reversed(parts) if "." in part), parts[-1] if parts else "image")
    return _HASH.sub("", Path(named).stem) or "image"


class Stages:
    """Starts the commands of the three stages, and the next one when one is done.

    Parameters
    ----------
    session
        Whose jobs and project are used.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._looked = False

    # ---- starting

    def predict(self, chosen: Prediction, name: str, then: Sequence[Mapping[str, Any]] = (), **extra: Any) -> Job:
        """Predict into the project; `name` is that of the model, such as that of its run."""
        output = self._free("predict", f"{name}-{stem_of(chosen.source)}")
        return self._start("predict", chosen.arguments(output), output, then, source=chosen.source, **extra)

    def segment(self, prediction: str, how: Mapping[str, Any], then: Sequence[Mapping[str, Any]] = ()) -> Job:
        """Cut a prediction into objects; `how` is a table of a segmenter, and may have ``min_size`` beside it."""
        output = self._free("segment", stem_of(prediction))
        words = ["segment", prediction, str(output), *options_of(how["with"])]
        words += ["--min-size", str(how["min_size"])] if how.get("min_size") else []
        return self._start("segment", words, output, then, source=prediction)

    def trace(self, objects: str, how: Mapping[str, Any], then: Sequence[Mapping[str, Any]] = ()) -> Job:
        """Draw the traces of objects; `how` is a table of a tracer, and may have ``min_size`` and ``soma`` beside it."""
        output = self._free("trace", stem_of(objects))
        words = ["trace", objects, str(output), *options_of(how["with"])]
        for name in ("min_size", "soma"):
            words += [f"--{name.replace('_', '-')}", str(how[name])] if how.get(name) else []
        return self._start("trace", words, output, then, source=objects, shortest=how.get("shortest", 0.0))

    def resume(self, output: Path, *, overwrite: bool = False) -> Job:
        """Go on with a prediction that was interrupted, or begin it again.

        Raises
        ------
        DataError
            If it cannot be known how it was made.
        """
        job = self.job_of(output)
        if job is not None and not overwrite:
            self._session.jobs.resume(job)
            return job
        return self._start("predict", again(output, self._session.project, overwrite=overwrite), output, ())

    def write_beside(self, job: Job) -> Job:
        """Start a job again with another name for what it makes."""
        output = self._free(job.kind, job.output.name.removesuffix(".zarr"))
        words = [str(output) if word == str(job.output) else word for word in job.arguments]
        return self._session.jobs.start(job.kind, self._title(job.kind, output), words, output, job.extra)

    def smaller_blocks(self, job: Job) -> Job:
        """Start a prediction again with blocks of half the edge, under another name."""
        words = list(job.arguments)
        edge = [64, 64, 64]
        if "--block" in words:
            at = words.index("--block")
            edge = [max(8, int(word) // 2) for word in words[at + 1 : at + 4]]
            del words[at : at + 4]
        output = self._free(job.kind, job.output.name.removesuffix(".zarr"))
        words = [str(output) if word == str(job.output) else word for word in words if word != "--overwrite"]
        words += ["--block", *map(str, edge)]
        return self._session.jobs.start(job.kind, self._title(job.kind, output), words, output, job.extra)

    def job_of(self, output: Path) -> Job | None:
        """Return the job that makes an output, if it is on the list."""
        return next((job for job in self._session.jobs if job.output == output), None)

    def _free(self, kind: Kind, stem: str) -> Path:
        part, suffix = _PLACES[kind]
        taken = {job.output for job in self._session.jobs}
        output = self._session.project.free(part, stem, suffix)
        number = 2
        while output in taken:  # it waits, and has made nothing yet
            output = self._session.project.free(part, f"{stem}-{number}", suffix)
            number += 1
        return output

    def _title(self, kind: Kind, output: Path) -> str:
        return f"{_VERBS[kind]} {output.name.removesuffix('.zarr')}"

    def _start(
        self, kind: Kind, words: Sequence[str], output: Path, then: Sequence[Mapping[str, Any]], **extra: Any
    ) -> Job:
        extra = {**extra, "then": [dict(stage) for stage in then]}
        return self._session.jobs.start(kind, self._title(kind, output), words, output, extra)

    # ---- going on

    def go_on(self, job: Job) -> Job | None:
        """Start what is to follow a job that is done; once."""
        then = list(job.extra.get("then", ()))
        if not then or job.failure:
            return None
        following, rest = then[0], then[1:]
        start = {"segment": self.segment, "trace": self.trace}[following["kind"]]
        started = start(str(job.output), following, rest)
        self.let_end(job)
        return started

    def let_end(self, job: Job) -> None:
        """Let nothing follow a job."""
        if job.extra.get("then"):
            job.extra["then"] = []
            job.save()

    def pick_up(self) -> None:
        """Go on after jobs that ended while no viewer was open; looks once."""
        if self._looked:
            return
        self._looked = True
        folder = self._session.project.folder / "jobs"
        known = {job.folder for job in self._session.jobs}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                body = json.loads((path / "job.json").read_text(encoding="utf-8"))
                if path in known or body["state"] != "done" or not body["extra"].get("then"):
                    continue
                job = Job(path, body["kind"], body["title"], body["arguments"], Path(body["output"]), body["extra"])
            except (OSError, ValueError, LookupError):
                continue
            job.state = "done"
            self.go_on(job)
