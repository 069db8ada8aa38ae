"""Training: `fit_events` is the loop, a generator of events; `fit` runs it to the end."""

from segkit.training._events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    Patch,
    Preparing,
    Preview,
    Started,
    Step,
    Validation,
)
from segkit.training._fit import fit, fit_events
from segkit.training._rates import steps_at
from segkit.training._run import Run, RunState, fold
from segkit.training._sizing import StepCost, largest_patch, step_cost

__all__ = [
    "Checkpoint",
    "Event",
    "Failed",
    "Finished",
    "Patch",
    "Preparing",
    "Preview",
    "Run",
    "RunState",
    "Started",
    "Step",
    "StepCost",
    "Validation",
    "fit",
    "fit_events",
    "fold",
    "largest_patch",
    "step_cost",
    "steps_at",
]
