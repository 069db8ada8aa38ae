"""Many trainings of one recipe: what a setting changes, and what is best.

plan = load_plan("recipe.toml", {"optimizer.learning_rate": "1e-4..5e-3"}, search="tpe", trials=30)
folder = sweep(plan, "sweeps/first", workers=4)
ranking(folder.plan, folder.trials())[0]
"""

from segkit.sweeping._dimension import Dimension
from segkit.sweeping._folder import Outcome, SweepFolder, Trial
from segkit.sweeping._page import verdict, write_report
from segkit.sweeping._plan import SweepPlan, SweepSettings, load_plan
from segkit.sweeping._results import Ranked, ranking
from segkit.sweeping._run import Began, Ended, sweep, sweep_events
from segkit.sweeping._variance import Effect, Variance, analyse_variance

__all__ = [
    "Began",
    "Dimension",
    "Effect",
    "Ended",
    "Outcome",
    "Ranked",
    "SweepFolder",
    "SweepPlan",
    "SweepSettings",
    "Trial",
    "Variance",
    "analyse_variance",
    "load_plan",
    "ranking",
    "sweep",
    "sweep_events",
    "verdict",
    "write_report",
]
