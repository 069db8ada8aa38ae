"""The sweep itself: a generator of what its trainings came to, which goes on where an earlier one ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.errors import IncompleteError, StorageError, UsageError
from segkit.execution import Cluster, ClusterSpec, Failure, connected, run
from segkit.sweeping._children import Children
from segkit.sweeping._folder import Outcome, SweepFolder, Trial
from segkit.sweeping._plan import SweepPlan
from segkit.sweeping._suggesting import require_engine, suggest
from segkit.sweeping._training import Trainings

__all__ = ["Began", "Ended", "sweep", "sweep_events"]

_LOOKS_EVERY_SECONDS = 0.5
_TRIES = 2  # of a training whose worker died


@dataclass(frozen=True, slots=True)
class Began:
    """A sweep begins or goes on: `done` trainings of `total` have ended."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The training of a configuration with a seed has ended; so have `done` of `total`."""

    trial: Trial
    seed: int
    outcome: Outcome
    done: int
    total: int


Unit = tuple[int, int]


def _never() -> bool:
    return False


def sweep(plan: SweepPlan, folder: str | Path, *, workers: int = 1, cluster: str | None = None) -> SweepFolder:
    """Train every configuration with every seed, to the end, or until Ctrl-C or SIGTERM; call again to go on.

    Parameters
    ----------
    plan, folder, workers, cluster
        See `sweep_events`.

    Returns
    -------
    SweepFolder
        The sweep: what its configurations came to, in memory and as files.

    Raises
    ------
    UsageError
        If the folder holds another sweep, or the search needs a library that is missing.
    IncompleteError
        If another process is at some of the trainings.
    """
    from segkit.training._stopping import stop_on_signals

    with stop_on_signals() as stop:
        for _ in sweep_events(plan, folder, workers=workers, cluster=cluster, stop=stop):
            pass
    return SweepFolder(Path(folder))


def sweep_events(
    plan: SweepPlan,
    folder: str | Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    stop: Callable[[], bool] = _never,
    retry: bool = False,
) -> Generator[Began | Ended, None, None]:
    """Train every configuration with every seed, yielding what each came to.

    Parameters
    ----------
    plan
        What to do.
    folder
        Folder of the sweep. One of the same plan in it goes on: what has ended is not done again, and a training that was
        interrupted goes on from its checkpoint.
    workers
        1 to train in this process, one after the other; more for so many child processes at once. With a cluster, its
        number of processes or jobs, if above 1.
    cluster
        Where to train, if not here; see `segkit.execution.ClusterSpec.parse`.
    stop
        Once it says yes, every training is saved and the sweep ends. The file of `SweepFolder.ask_to_stop` is looked for
        besides.
    retry
        Whether trainings that failed are tried again.

    Yields
    ------
    Began or Ended
        First the one, then one of the other for each training that ends.

    Raises
    ------
    UsageError
        If the folder holds another sweep, or the search needs a library that is missing.
    IncompleteError
        If another process is at some of the trainings.
    """
    require_engine(plan)
    state = SweepFolder(Path(folder).absolute())
    if not plan.settings.threads and (state.path / "sweep.json").is_file():
        plan = replace(plan, settings=replace(plan.settings, threads=state.plan.settings.threads))
    if not plan.settings.threads:
        spec = ClusterSpec.parse(cluster).with_workers(workers if workers > 1 else None) if cluster else None
        threads = spec.torch_threads if spec else max(1, (os.cpu_count() or 1) // workers)
        plan = replace(plan, settings=replace(plan.settings, threads=threads))
    with state.opened(plan), _stopping(state, stop) as asked, ExitStack() as stack:
        connection = stack.enter_context(connected(cluster, workers if workers > 1 else None))
        yield from _Sweep(plan, state, workers, connection, asked, retry).events()


@contextmanager
def _stopping(state: SweepFolder, stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Say in the sweep's file, which workers everywhere look at, what was asked of this process."""
    over = threading.Event()

    def asked() -> bool:
        return stop() or state.stop_file.exists()

    def watch() -> None:
        while not over.wait(_LOOKS_EVERY_SECONDS):
            if stop() and not state.stop_file.exists():
                state.ask_to_stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield asked
    finally:
        over.set()
        watcher.join()
        state.stop_file.unlink(missing_ok=True)


class _Sweep:
    """What does not change while a sweep runs."""

    def __init__(
        self,
        plan: SweepPlan,
        state: SweepFolder,
        workers: int,
        cluster: Cluster | None,
        stop: Callable[[], bool],
        retry: bool,
    ) -> None:
        self.plan, self.state, self.workers, self.cluster, self.stop = plan, state, workers, cluster, stop
        self.trials = state.trials()
        self.direction = plan.recipe.task.build("tasks").best[1]
        self.busy = ""
        if retry:
            for trial in self.trials:
                trial.outcomes = {s: o for s, o in trial.outcomes.items() if o.state != "failed"}

    def events(self) -> Iterator[Began | Ended]:
        yield Began(self.done, self.total)
        while not self.stop():
            open_ = [trial for trial in self.trials if self.wanted(trial)]
            if open_:
                yield from self.worked(open_)
                if self.busy:
                    raise IncompleteError(f"{self.busy} The others have ended; run the same again after it.")
                continue
            count = min(self.round, self.plan.trials - len(self.trials))
            if count <= 0:
                return
            values = suggest(self.plan, self.trials, count, self.direction)
            self.state.add_trials(len(self.trials), values)
            self.trials = [*self.trials, *(Trial(len(self.trials) + n, each) for n, each in enumerate(values))]

    @property
    def total(self) -> int:
        return max(self.plan.trials, len(self.trials)) * len(self.plan.seeds)

    @property
    def done(self) -> int:
        """Trainings that have ended, and those that are left out because another of the configuration was pruned."""
        return sum(len(self.plan.seeds) - len(self.wanted(trial)) for trial in self.trials)

    @property
    def round(self) -> int:
        """How many configurations are chosen at once: all, where none depends on what another came to."""
        if self.plan.settings.search != "tpe":
            return self.plan.trials
        return max(1, self.slots // len(self.plan.seeds))

    @property
    def slots(self) -> int:
        if self.cluster is None:
            return self.workers
        return max(1, int(sum(self.cluster.client.nthreads().values())))

    def wanted(self, trial: Trial) -> list[int]:
        """Return the seeds that a configuration is still to be trained with; with none any more if one was pruned."""
        if any(outcome.state == "pruned" for outcome in trial.outcomes.values()):
            return []
        return [seed for seed in self.plan.seeds if seed not in trial.outcomes]

    def worked(self, trials: list[Trial]) -> Iterator[Ended]:
        """Train what is wanted of some configurations; with pruning only the first seed of each, which may be the last."""
        yield from self.refused(trials)
        units: list[Unit] = sorted(
            ((trial.number, seed) for trial in trials for seed in self.wanted(trial)), key=lambda unit: unit[::-1]
        )  # every configuration with the first seed before any with the second
        if self.plan.settings.prune != "none" and units:
            units = [unit for unit in units if unit[1] == units[0][1]]
        trainings = Trainings(self.state.path, tuple(units))
        work: Callable[[int], Outcome] = trainings
        if self.cluster is None:
            here = _Here(trainings, self.stop)
            work = here if self.workers == 1 else Children(trainings, self.plan.settings.threads, self.stop)
        results = run(
            work,
            range(len(units)),
            cluster=self.cluster,
            workers=None if self.cluster is not None else self.workers,
            tries=_TRIES,
            fatal=(StorageError,),
        )
        for index, result in results:
            outcome = Outcome("failed", result.reason) if isinstance(result, Failure) else result
            if outcome.state == "busy":
                self.busy = outcome.reason
            elif outcome.state != "stopped":
                yield self.noted(*units[index], outcome)

    def refused(self, trials: list[Trial]) -> Iterator[Ended]:
        """Note the configurations whose values do not go together, without starting anything."""
        for trial in trials:
            try:
                self.plan.recipe_of(trial.values, self.plan.seeds[0])
            except UsageError as error:
                for seed in self.wanted(trial):
                    yield self.noted(trial.number, seed, Outcome("failed", str(error)))

    def noted(self, number: int, seed: int, outcome: Outcome) -> Ended:
        self.state.add_outcome(number, seed, outcome)
        trial = self.trials[number]
        trial.outcomes[seed] = outcome
        return Ended(trial, seed, outcome, self.done, self.total)


@dataclass(frozen=True)
class _Here:
    """The trainings in this process, which needs no file to be told to stop."""

    trainings: Trainings
    stop: Callable[[], bool]

    def __call__(self, index: int) -> Outcome:
        from segkit.sweeping._training import train

        return train(self.trainings.path, *self.trainings.units[index], self.stop)
