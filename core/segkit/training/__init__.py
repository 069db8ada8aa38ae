"""Training: `fit_events` is the loop, a generator of events; `fit` runs it to the end."""

from segkit.training._events import Checkpoint, Event, Failed, Finished, Preparing, Preview, Started, Step, Validation
from segkit.training._fit import fit, fit_events
from segkit.training._run import Run, RunState, fold

__all__ = [
    "Checkpoint",
    "Event",
    "Failed",
    "Finished",
    "Preparing",
    "Preview",
    "Run",
    "RunState",
    "Started",
    "Step",
    "Validation",
    "fit",
    "fit_events",
    "fold",
]
