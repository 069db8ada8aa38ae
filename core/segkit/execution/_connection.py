"""`Cluster`: a dask cluster that is connected, or was started here and ends with the work."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segkit import durable
from segkit.errors import UsageError
from segkit.execution._dask import DaskPool
from segkit.execution._ledger import Pool
from segkit.execution._spec import ClusterSpec
from segkit.execution._worker import introduce

__all__ = ["Cluster", "connected"]

# One death of a worker comes back to us, who know the blocks; nothing is ever written to a worker's disk.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.admin.low-level-log-length": 0,
}


class Cluster:
    """A connection to the scheduler of a dask cluster whose workers have the same segkit.

    Parameters
    ----------
    client
        The connection.
    spec
        What was asked for.
    """

    def __init__(self, client: Any, spec: ClusterSpec) -> None:
        self.client, self.spec = client, spec
        self.check()

    def check(self) -> None:
        """Refuse workers with another segkit than this.

        Raises
        ------
        UsageError
            If there are any.
        """
        from segkit import __version__

        for worker, found in self.client.run(introduce, on_error="return").items():
            if not isinstance(found, dict):
                raise UsageError(
                    f"The worker {worker} cannot import segkit ({' '.join(str(found).split())[:200]}). Install segkit "
                    f"{__version__} in the environment of the workers."
                )
            if found["version"] != __version__:
                raise UsageError(
                    f"The worker {worker} on {found['host']} has segkit {found['version']}, and this is segkit {__version__}. "
                    "Install the same version for both, then start the workers again."
                )

    def pool(self, task: Callable[[int], Any]) -> Pool:
        """Return where one `run` hands out its work."""
        return DaskPool(self.client, task, self.spec.torch_threads, waits=self.spec.kind != "address")


@contextmanager
def connected(
    cluster: Cluster | str | None, workers: int | None = None, *, patience: float = 60.0
) -> Iterator[Cluster | None]:
    """Connect to a cluster inside the block; one that is connected already is passed on and stays so.

    Parameters
    ----------
    cluster
        Text (see `ClusterSpec.parse`), a connection, or None, which is passed on too.
    workers
        Number of processes or jobs, over what the text says; without meaning for a scheduler that runs already.

    patience
        Seconds for a scheduler to answer and to have a worker; jobs in a queue are waited for as long as it takes.

    Raises
    ------
    UsageError
        If the text cannot be read, the cluster cannot be started or reached, or its workers have another segkit.
    """
    if not isinstance(cluster, str):
        yield cluster
        return
    spec = ClusterSpec.parse(cluster).with_workers(workers)
    try:
        import dask.config
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            'A cluster needs dask.distributed, which is not installed. Run: pip install "segkit-sdk[cluster]"'
        ) from error
    with ExitStack() as stack:
        stack.enter_context(_no_sigpipe())
        try:
            with dask.config.set(_SETTINGS):
                client = _connect(spec, stack, patience)
            if spec.kind in ("address", "local"):
                client.wait_for_workers(1, timeout=patience)
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            what = spec.address or spec.kind
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UsageError(
                f"The cluster {what!r} cannot be used: {reason}. Check its address, and that its scheduler and workers run."
            ) from error
        yield Cluster(client, spec)


@contextmanager
def _no_sigpipe() -> Iterator[None]:
    """Let a connection to a worker that died be an error inside the block, where the command line lets it end the process."""
    if not hasattr(signal, "SIGPIPE") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def _connect(spec: ClusterSpec, stack: ExitStack, patience: float) -> Any:
    import distributed

    if spec.kind == "address":
        where = {"scheduler_file": spec.address} if spec.address.endswith(".json") else {"address": spec.address}
        return stack.enter_context(distributed.Client(**where, timeout=patience, set_as_default=False))
    if spec.kind == "local":
        started = distributed.LocalCluster(
            n_workers=spec.options["workers"],
            threads_per_worker=1,
            processes=True,
            silence_logs=logging.CRITICAL,  # deaths of workers are told in our words
            dashboard_address=":0",
            **_secured(),
        )
    else:
        started = job_queue(spec)
    stack.enter_context(started)
    if spec.kind != "local":
        jobs = spec.options["workers"]
        started.adapt(minimum=jobs, maximum=jobs)  # a job that ends early is handed in again
    return stack.enter_context(distributed.Client(started, set_as_default=False))


def _secured() -> dict[str, Any]:
    """Return what lets nobody else on the machine or network give work to a cluster that is started here.

    A scheduler runs whatever it is sent. Certificates that live as long as the cluster need the package cryptography.
    """
    from distributed import Security

    if find_spec("cryptography") is None:
        return {}
    return {"security": Security.temporary(), "protocol": "tls://"}


def job_queue(spec: ClusterSpec) -> Any:
    """Return a cluster whose workers are jobs of a queue; none is handed in yet."""
    try:
        import dask_jobqueue
    except ImportError as error:
        raise UsageError(
            f'A cluster of {spec.kind} jobs needs dask-jobqueue, which is not installed. Run: pip install "segkit-sdk[cluster]"'
        ) from error
    given = dict(spec.options)
    cores, processes = given.get("cores", 1), given.get("processes", 1)
    names = {
        "queue": "queue",
        "account": "project" if spec.kind in ("lsf", "sge") else "account",
        "walltime": "walltime",
        "interface": "interface",
        "python": "python",
        "scratch": "local_directory",
        "logs": "log_directory",
    }
    options = {names[key]: value for key, value in given.items() if key in names}
    if "directives" in given:
        options["job_extra_directives"] = list(given["directives"])
    settings = [
        f"export DASK_{key.upper().replace('.', '__').replace('-', '_')}={value}" for key, value in _SETTINGS.items()
    ]
    secured = _secured()
    if secured:
        # Where the jobs find their certificates: readable by this user alone, and removed at the end.
        folder = Path(given.get("logs", Path.home())).absolute()
        durable.make_dirs(folder)
        options["shared_temp_directory"] = str(folder)
    made = getattr(dask_jobqueue, f"{spec.kind.upper()}Cluster")
    return made(
        n_workers=0,
        cores=cores,
        processes=processes,
        job_name="segkit",
        memory=given.get("memory", "4GB"),
        job_script_prologue=[*settings, *given.get("prologue", ())],
        # A worker does one block at a time, with all the cores it has for that.
        worker_extra_args=["--nthreads", "1"],
        silence_logs=logging.CRITICAL,
        scheduler_options={"dashboard": False, "dashboard_address": ":0"},
        **secured,
        **options,
    )
