"""A cluster in one line of text, or in a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segkit.errors import UsageError, did_you_mean

__all__ = ["ClusterSpec"]

_ADDRESSES = ("tcp", "tls", "ucx", "ws", "wss")
_QUEUES = ("slurm", "pbs", "lsf", "sge")
_EXAMPLES = "'local:4', 'tcp://host:8786' or 'slurm:workers=8,cores=4,memory=16GB,walltime=02:00:00'"


def _count(text: Any) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("at least 1")
    return number


def _lines(given: Any) -> tuple[str, ...]:
    return tuple(given.split(";")) if isinstance(given, str) else tuple(str(line) for line in given)


# What a job can be asked for: how to read it, and what it is.
_KEYS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "workers": (_count, "number of jobs"),
    "cores": (_count, "cores of a job"),
    "memory": (str, "memory of a job, such as 16GB"),
    "processes": (_count, "blocks that a job works on at once"),
    "queue": (str, "queue or partition"),
    "account": (str, "account or project that is charged"),
    "walltime": (str, "longest time of a job, such as 02:00:00"),
    "directives": (_lines, "more lines for the head of the job script, separated by ';'"),
    "prologue": (_lines, "commands before the worker starts, separated by ';'"),
    "interface": (str, "network interface, such as ib0"),
    "python": (str, "Python of the workers"),
    "scratch": (str, "folder on each node for the worker's own files"),
    "logs": (str, "folder for the output of the jobs"),
}


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Which cluster.

    Parameters
    ----------
    kind
        ``"address"`` of a scheduler that runs already, ``"local"`` processes, or a queue: ``"slurm"``, ``"pbs"``,
        ``"lsf"`` or ``"sge"``.
    address
        Of the scheduler, or the file it wrote with ``--scheduler-file``; only of the kind ``"address"``.
    options
        What else was said, each key once.
    """

    kind: str
    address: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ClusterSpec:
        """Read what people type.

        Parameters
        ----------
        text
            The address of a dask scheduler (``tcp://host:8786``, ``tls://host:8786``), the JSON file it wrote for
            workers to find it; ``local:4`` for 4 processes on this machine; a queue with what a job needs
            (``slurm:workers=8,cores=4,memory=16GB,queue=gpu,walltime=02:00:00``, likewise ``pbs:``, ``lsf:`` and
            ``sge:``); or a TOML file with the same keys and ``kind = "slurm"``.

        Raises
        ------
        UsageError
            If it cannot be read, with what is possible.
        """
        text = text.strip()
        kind, colon, rest = text.partition(":")
        if kind in _ADDRESSES and rest.startswith("//") and len(rest) > 2:
            return cls("address", text)
        if text.endswith(".json"):
            return cls("address", text)
        if text.endswith(".toml"):
            return cls._load(Path(text))
        if kind == "local":
            return cls("local", options=_read("local", {"workers": rest} if colon else {}, text))
        if kind in _QUEUES:
            pairs = {}
            for part in filter(str.strip, rest.split(",")):
                key, equals, value = part.partition("=")
                if not equals or key.strip() in pairs:
                    why = "is not of the form key=value" if not equals else "is said twice"
                    raise UsageError(f"In the cluster {text!r}, {part.strip()!r} {why}. Write it like {_EXAMPLES}.")
                pairs[key.strip()] = value.strip()
            return cls(kind, options=_read(kind, pairs, text))
        raise UsageError(
            f"The cluster {text!r} is of no kind that is known.{did_you_mean(kind, ('local', *_QUEUES))} Write it like "
            f"{_EXAMPLES}, or name a TOML file."
        )

    def with_workers(self, workers: int | None) -> ClusterSpec:
        """Return the same with a number of processes or jobs: this one, or what it says itself, or what is usual."""
        if self.kind == "address":
            return self
        chosen = workers or self.options.get("workers") or (os.cpu_count() or 1 if self.kind == "local" else 1)
        return replace(self, options={**self.options, "workers": chosen})

    @property
    def torch_threads(self) -> int:
        """How many threads torch has for a block; 0 where that is the workers' own business."""
        if self.kind == "address":
            return 0
        if self.kind == "local":
            return max(1, (os.cpu_count() or 1) // int(self.with_workers(None).options["workers"]))
        return max(1, int(self.options.get("cores", 1)) // int(self.options.get("processes", 1)))

    @classmethod
    def _load(cls, path: Path) -> ClusterSpec:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"The cluster file {path} cannot be read: {error}.") from error
        kind = content.pop("kind", None)
        if kind == "address" and isinstance(content.get("address"), str) and len(content) == 1:
            return cls.parse(content["address"])
        if kind not in ("local", *_QUEUES):
            raise UsageError(
                f"The cluster file {path} says kind = {kind!r}; it takes one of 'local', {', '.join(map(repr, _QUEUES))}, or "
                "'address' with the address of a scheduler."
            )
        return cls(kind, options=_read(kind, content, str(path)))


def _read(kind: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = _KEYS if kind in _QUEUES else {"workers": _KEYS["workers"]}
    read = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(
                f"The cluster {where!r} has no option {key!r}.{did_you_mean(key, known)} There are: {', '.join(known)}."
            )
        try:
            read[key] = known[key][0](value)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The cluster {where!r} says {key} = {value!r}; it takes the {known[key][1]} ({error})."
            ) from error
    return read
