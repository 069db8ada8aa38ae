"""Branched traces made up for tests, any number of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segkit.tracing import Trace, write_swc


def neuron(id: int, nodes: int, seed: int = 0, box: float = 8000.0, branch: int = 80) -> Trace:
    """Return a random tree of so many nodes, 25 nm apart, with branches of about so many nodes."""
    random = np.random.default_rng(seed)
    places, edges = np.zeros((nodes, 3)), np.zeros((nodes - 1, 2), np.int64)
    places[0] = random.uniform(0.3, 0.7, 3) * box
    done = 1
    while done < nodes:
        count = min(branch, nodes - done)
        at = 0 if done == 1 else int(random.integers(0, done))
        steps = random.normal(size=3) + 0.1 * np.cumsum(random.normal(size=(count, 3)), axis=0)
        steps /= np.linalg.norm(steps, axis=1)[:, None]
        places[done : done + count] = places[at] + np.cumsum(steps * 25, axis=0)
        number = np.arange(done, done + count)
        edges[done - 1] = (at, done)
        edges[done : done + count - 1] = np.stack([number[:-1], number[1:]], axis=1)
        done += count
    return Trace(places, edges, random.uniform(20, 60, nodes), id)


def written(folder: Path, traces: list[Trace]) -> Path:
    """Write traces as SWC files into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for trace in traces:
        write_swc(trace, folder / f"{trace.id}.swc")
    return folder
