"""Jobs of every kind stopped at random moments: they answer at once, leave no process, and go on to the same result."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path

import psutil
import pytest

from napari_segkit.session import Job, Session

RECIPE = """
[task]
name = "boundaries"
[architecture]
name = "unet"
width = 4
depth = 1
[[loss]]
name = "bce"
[dataset]
name = "files"
raw = "{raw}"
labels = "{labels}"
[sampling]
patch_shape = [4, 16, 16]
batch_size = 1
[split]
share = 0.25
[training]
steps = 40
validate_every = 20
"""


def digest(path: Path) -> str:
    """Return a hash over what a job made, without what says when it was made."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and (p.suffix in (".swc", ".csv") or "c" in p.parent.parts or p.name.isdigit())
    )
    return hashlib.sha256(b"".join(p.relative_to(path).as_posix().encode() + p.read_bytes() for p in files)).hexdigest()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Inputs of every kind of job, made by the jobs themselves, and the digests of their results."""
    import segkit
    from segkit.registry import registries

    folder = tmp_path_factory.mktemp("work")
    sample = registries["datasets"]["synthetic_neurons"](
        shape=(24, 64, 64), count=1, neurites=8, voxel_size=(20.0, 10.0, 10.0)
    )[0]
    for name, volume in (("raw", sample.raw), ("labels", sample.labels)):
        segkit.write_volume(volume, folder / f"{name}.zarr")
    (folder / "recipe.toml").write_text(RECIPE.format(raw=folder / "raw.zarr", labels=folder / "labels.zarr"))
    session = Session(folder / "project")
    wanted = {}
    for kind in ("train", "predict", "segment", "trace"):
        job = start(session, kind, folder, "whole")
        assert session.wait(job, 300) == "done", job.report()
        wanted[kind] = digest(result(job))
    session.close()
    return folder, wanted


def start(session: Session, kind: str, folder: Path, name: str) -> Job:
    target = folder / f"{kind}-{name}"
    whole = {
        "predict": folder / "train-whole",
        "segment": folder / "predict-whole.zarr",
        "trace": folder / "labels.zarr",
    }
    if kind == "train":
        arguments = ["train", str(folder / "recipe.toml"), "--run", str(target)]
    elif kind == "predict":
        target = target.with_suffix(".zarr")
        arguments = ["predict", str(whole["predict"]), str(folder / "raw.zarr"), str(target), "--threads", "1"]
        arguments += ["--block", "8", "32", "32"]
    elif kind == "segment":
        target = target.with_suffix(".zarr")
        arguments = ["segment", str(whole["segment"]), str(target), "--with", "watershed"]
    else:
        arguments = ["trace", str(whole["trace"]), str(target)]
    return session.jobs.start(kind, f"{kind} {name}", arguments, target)


def result(job: Job) -> Path:
    return job.output / "final" / "weights.safetensors" if job.kind == "train" else job.output


def children() -> set[psutil.Process]:
    return {child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["train", "predict", "segment", "trace"])
def test_points_12_13_14_twenty_five_cancels_at_random_moments(work, kind: str) -> None:
    folder, wanted = work
    session, draw, replies = Session(folder / f"project-{kind}"), random.Random(kind), []
    job, cancelled, number, others = None, 0, 0, children()
    while cancelled < 25:
        if job is None or job.state == "done":
            if job is not None:
                assert digest(result(job)) == wanted[kind]
            number += 1
            job = start(session, kind, folder, f"cancelled-{number}")
        else:
            session.jobs.resume(job)
        end = time.monotonic() + draw.uniform(0.05, 4.0)
        while time.monotonic() < end and job.active:
            session.poll()
            time.sleep(0.01)
        if not job.active:
            assert job.state == "done", job.report()
            continue
        began = time.perf_counter()
        job.stop("paused")
        replies.append(time.perf_counter() - began)
        assert job.state == "pausing"
        end = time.monotonic() + 5
        while job.active and time.monotonic() < end:
            session.poll()
            time.sleep(0.01)
        assert job.state in ("paused", "done"), job.report()
        assert not children() - others
        cancelled += 1
    if job.state == "paused":
        session.jobs.resume(job)
        assert session.wait(job, 300) == "done", job.report()
    assert digest(result(job)) == wanted[kind]
    print(f"{kind}: {cancelled} cancels, {number} outputs, slowest reply {1000 * max(replies):.1f} ms")
    assert max(replies) < 0.2
    session.close()
