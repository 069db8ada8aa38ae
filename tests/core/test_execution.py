"""One map for blocks: on threads and on the processes of a cluster, with tries, in bounded memory."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import segkit
from segkit.errors import SegkitError, StorageError, UsageError
from segkit.execution import Cluster, ClusterSpec, Failure, connected, run
from segkit.execution._connection import job_queue
from segkit.execution._ledger import Ledger, Returned


@pytest.fixture(scope="module")
def local() -> Iterator[Cluster]:
    """Two processes on this machine."""
    with connected("local:2") as cluster:
        assert cluster is not None
        yield cluster


def squared(index: int) -> int:
    return index * index


def tell_process(index: int) -> int:
    time.sleep(0.02)
    return os.getpid()


class Fails:
    """Fails at some indices, each so many times; counts tries in files, so that processes share them."""

    def __init__(self, folder: Path, times: dict[int, int], how: Callable[[], Any]) -> None:
        self.folder, self.times, self.how = folder, times, how

    def tries(self, index: int) -> int:
        return len(list(self.folder.glob(f"{index}-*")))

    def __call__(self, index: int) -> int:
        tried = self.tries(index)
        (self.folder / f"{index}-{tried}").touch()
        if tried < self.times.get(index, 0):
            self.how()
        return index


def sneeze() -> None:
    raise ValueError("the sensor\nsneezed")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse() -> None:
    raise StorageError("the disk is full")


@pytest.fixture(params=["one thread", "three threads", "processes"])
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "processes":
        return {"cluster": request.getfixturevalue("local")}
    return {"workers": 1 if request.param == "one thread" else 3}


def test_every_index_has_its_result(where: dict[str, Any]) -> None:
    assert dict(run(squared, range(100), **where)) == {n: n * n for n in range(100)}
    assert list(run(squared, [], **where)) == []


def test_results_in_order(where: dict[str, Any], tmp_path: Path) -> None:
    task = Fails(tmp_path, {3: 2, 40: 1}, sneeze)
    assert list(run(task, range(60), ordered=True, **where)) == [(n, n) for n in range(60)]


def test_three_tries_then_a_failure_while_the_others_go_on(where: dict[str, Any], tmp_path: Path) -> None:
    task = Fails(tmp_path, {3: 2, 5: 99}, sneeze)
    found = dict(run(task, range(20), **where))
    assert found.pop(5) == Failure("ValueError: the sensor sneezed")
    assert found == {n: n for n in range(20) if n != 5}
    assert (task.tries(3), task.tries(5), task.tries(6)) == (3, 3, 1)


def test_a_full_disk_ends_everything(where: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="full"):
        list(run(Fails(tmp_path, {3: 1}, refuse), range(20), **where))
    found = dict(run(Fails(tmp_path, {4: 9}, refuse), range(20), fatal=(), **where))
    assert isinstance(found[4].error, StorageError)
    assert found[4].reason == "the disk is full"


def test_only_so_much_is_ahead_of_who_takes_it(where: dict[str, Any], tmp_path: Path) -> None:
    task = Fails(tmp_path, {}, sneeze)
    results = run(task, range(100), **where)
    next(results)
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) <= 10
    results.close()


def test_the_processes_share_the_work(local: Cluster) -> None:
    processes = {result for _, result in run(tell_process, range(12), cluster=local)}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_poison_index_fails_and_the_others_do_not(local: Cluster, tmp_path: Path) -> None:
    task = Fails(tmp_path, {7: 99, 11: 1}, die)
    found = dict(run(task, range(40), cluster=local))
    assert "died over it" in found.pop(7).reason
    assert found == {n: n for n in range(40) if n != 7}
    assert task.tries(7) == 3


class Grouped:
    """Says how it was called."""

    def __call__(self, index: int) -> str:
        return "alone"

    def many(self, indices: tuple[int, ...]) -> Iterator[tuple[int, str]]:
        for index in indices:
            if index == 17:
                raise ValueError("in between")
            yield index, f"{indices[0]} to {indices[-1]}"


def test_neighbours_go_to_a_worker_together(local: Cluster) -> None:
    found = dict(run(Grouped(), range(20), cluster=local, batch=4))
    assert (found[0], found[3]) == ("0 to 3", "0 to 3")
    assert {int(found[n].split()[0]) % 4 for n in range(17)} == {0}
    assert [found[n] for n in (17, 18, 19)] == ["alone"] * 3  # what failed in a batch is tried by itself


def test_a_task_that_cannot_be_sent(local: Cluster) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="cannot be sent to the workers.*segkit convert"):
        list(run(lambda index: lock, range(3), cluster=local))


class Unloadable:
    def __call__(self, index: int) -> int:
        return index

    def __setstate__(self, state: Any) -> None:
        raise FileNotFoundError("no /data/here")

    def __getstate__(self) -> int:
        return 1


def test_a_task_that_a_worker_cannot_load(local: Cluster) -> None:
    with pytest.raises(UsageError, match="worker t(cp|ls)://.*cannot load the work: FileNotFoundError: no /data/here"):
        list(run(Unloadable(), range(3), cluster=local))


def test_a_large_task_travels_once(local: Cluster) -> None:
    large = os.urandom(2**20)
    found = dict(run(lambda index: len(large) + index, range(30), cluster=local))
    assert found == {n: 2**20 + n for n in range(30)}


def test_nobody_else_gives_it_work(local: Cluster) -> None:
    pytest.importorskip("cryptography")
    distributed = pytest.importorskip("distributed")
    address = local.client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises(OSError, match="Timed out|CERTIFICATE|certificate"):
        distributed.Client(address, security=distributed.Security.temporary(), timeout=1)


def test_workers_with_another_segkit_are_refused(local: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    own = segkit.__version__
    monkeypatch.setattr(segkit, "__version__", "99.0")
    with pytest.raises(UsageError, match=rf"has segkit {own}, and this is segkit 99\.0"):
        local.check()


def test_nobody_is_there() -> None:
    with (
        pytest.raises(UsageError, match=r"'tcp://127\.0\.0\.1:1' cannot be used"),
        connected("tcp://127.0.0.1:1", patience=1),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://node3:8786", ClusterSpec("address", "tcp://node3:8786")),
        ("tls://[::1]:8786", ClusterSpec("address", "tls://[::1]:8786")),
        ("/shared/scheduler.json", ClusterSpec("address", "/shared/scheduler.json")),
        ("local:4", ClusterSpec("local", options={"workers": 4})),
        ("local", ClusterSpec("local")),
        (
            "slurm:workers=8, cores=4,memory=16GB,queue=gpu,walltime=02:00:00,directives=--gres=gpu:1;--exclusive",
            ClusterSpec(
                "slurm",
                options={
                    "workers": 8,
                    "cores": 4,
                    "memory": "16GB",
                    "queue": "gpu",
                    "walltime": "02:00:00",
                    "directives": ("--gres=gpu:1", "--exclusive"),
                },
            ),
        ),
    ],
)
def test_clusters_as_text(text: str, expected: ClusterSpec) -> None:
    assert ClusterSpec.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "of no kind that is known"),
        ("slrum:workers=2", "Did you mean 'slurm'"),
        ("tcp://", "of no kind"),
        ("local:none", "takes the number of jobs"),
        ("local:0", "at least 1"),
        ("slurm:worker=2", "no option 'worker'. Did you mean 'workers'.*walltime"),
        ("slurm:workers", "not of the form key=value"),
        ("slurm:workers=1,workers=2", "said twice"),
        ("/nowhere/cluster.toml", "cannot be read"),
    ],
)
def test_text_that_is_no_cluster(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClusterSpec.parse(text)


def test_clusters_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_text('kind = "pbs"\nworkers = 3\nmemory = "8GB"\ndirectives = ["-l ngpus=1", "-m n"]\n')
    found = ClusterSpec.parse(str(file))
    assert found == ClusterSpec("pbs", options={"workers": 3, "memory": "8GB", "directives": ("-l ngpus=1", "-m n")})
    file.write_text('kind = "address"\naddress = "tcp://a:1"\n')
    assert ClusterSpec.parse(str(file)) == ClusterSpec("address", "tcp://a:1")
    file.write_text('kind = "condor"\n')
    with pytest.raises(UsageError, match="'condor'; it takes one of"):
        ClusterSpec.parse(str(file))


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("slurm", ["#SBATCH -p fast", "#SBATCH -A lab", "#SBATCH --cpus-per-task=6", "#SBATCH --mem=8G", "#SBATCH -t 01:00:00"]),
        ("pbs", ["#PBS -q fast", "#PBS -A lab", "ncpus=6", "mem=7630MB", "walltime=01:00:00"]),
        ("lsf", ["#BSUB -q fast", "#BSUB -P \"lab\"", "#BSUB -n 6", "#BSUB -W 01:00"]),
        ("sge", ["#$ -q fast", "#$ -P lab", "#$ -l h_rt=01:00:00"]),
    ],
)  # fmt: skip
def test_job_scripts(kind: str, lines: list[str]) -> None:
    time = "01:00" if kind == "lsf" else "01:00:00"
    text = f"{kind}:cores=6,processes=2,memory=8GB,queue=fast,account=lab,walltime={time},prologue=module load cuda"
    with job_queue(ClusterSpec.parse(text)) as cluster:
        script = cluster.job_script()
    for line in [*lines, "module load cuda", "--nworkers 2", "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False"]:
        assert line in script
    assert script.rindex("--nthreads 1") > script.index("--nthreads 3")  # a block a process; torch has the cores


@pytest.mark.parametrize("seed", range(20))
def test_the_ledger_loses_nothing(seed: int) -> None:
    """Any order of returns, failures and deaths: each index is kept once, and fails only after three tries."""
    chance = random.Random(seed)
    ledger = Ledger(range(50), 3, urgent=bool(seed % 2))
    out: list[tuple[int, ...]] = []
    kept: dict[int, Any] = {}
    tries: dict[int, int] = {}

    def keep(index: int, outcome: Any) -> None:
        assert index not in kept
        kept[index] = outcome

    while ledger or out:
        deal = ledger.deal(chance.randint(1, 8), 50, len(out))
        if deal is not None:
            out.append(deal.indices)
        if deal is None or chance.random() < 0.5:
            indices = out.pop(chance.randrange(len(out)))
            died = chance.random() < 0.3
            outcomes = []
            for index in indices:
                tries[index] = tries.get(index, 0) + 1
                outcomes.append((index, Failure("no") if died or chance.random() < 0.2 else index))
            ledger.settle(Returned(tuple(outcomes), worker="w", died=died), keep)
    assert sorted(kept) == list(range(50))
    assert all(tries[n] == 3 for n, outcome in kept.items() if isinstance(outcome, Failure))
    assert all(count <= 3 for count in tries.values())


def test_errors_of_segkits_own_need_no_name() -> None:
    assert Failure.of(SegkitError("a  b")).reason == "a b"
    assert Failure.of(ZeroDivisionError()).reason == "ZeroDivisionError"
