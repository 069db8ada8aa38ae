"""A session without a window: jobs in real child processes, what is remembered, and what is selected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_segkit.session import Problem, Project, Selection, Session
from napari_segkit.session._writing import Writer, writer
from segkit.durable import append_record
from segkit.errors import BusyError, StorageError


@pytest.fixture
def session(tmp_path: Path):
    made = Session(tmp_path / "project")
    made.problems = []
    made.problem.connect(made.problems.append)
    made.open()
    yield made
    made.close()
    for job in made.jobs:
        job.force()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    np.save(tmp_path / "volume.npy", np.zeros((64, 64, 64), np.uint8))
    return tmp_path / "volume.npy"


def convert(session: Session, volume: Path, name: str = "copy.zarr", *options: str):
    target = volume.with_name(name)
    return session.jobs.start("convert", f"copy to {name}", ["convert", str(volume), str(target), *options], target)


def test_a_session_imports_neither_torch_nor_a_gui() -> None:
    code = (
        "import sys, napari_segkit.session\n"
        "assert not {'torch', 'napari', 'qtpy', 'zarr', 'dask'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jobs_wait_for_each_other_and_tell_how_far_they_are(session: Session, volume: Path) -> None:
    done = []
    session.jobs.when_done("convert", done.append)
    first, second = convert(session, volume), convert(session, volume, "other.zarr")
    assert (first.state, second.state) == ("preparing", "queued")
    assert session.wait(second, 60) == "done"
    assert done == [first, second]
    assert first.done == first.total > 0
    assert session.problems == []
    writer.finish()
    assert json.loads((second.folder / "job.json").read_text())["state"] == "done"


def test_a_failure_is_one_problem_with_ways_out(session: Session, volume: Path) -> None:
    volume.with_name("copy.zarr").mkdir()
    (volume.with_name("copy.zarr") / "mine").write_text("precious")
    job = convert(session, volume)
    assert session.wait(job, 60) == "failed"
    [problem] = session.problems
    assert "copy.zarr" in problem.sentence
    assert "Traceback" not in problem.sentence
    assert {fix.key for fix in problem.fixes} == {"new_name", "resume"}
    assert job.command in problem.details


def test_a_process_that_dies_without_a_word_is_a_failure(session: Session, volume: Path) -> None:
    job = convert(session, volume)
    os.kill(job.process.pid, signal.SIGSEGV)
    assert session.wait(job, 60) == "failed"
    [problem] = session.problems
    assert "ended with code -11" in problem.sentence
    session.jobs.resume(job)
    assert session.wait(job, 60) == "done"


def test_a_job_is_paused_and_goes_on(session: Session, volume: Path) -> None:
    job = convert(session, volume)
    job.stop("paused")
    assert job.state == "pausing"
    while job.active:
        session.poll()
    assert job.state == "paused"
    assert job in session.jobs.open
    session.jobs.resume(job)
    assert session.wait(job, 60) == "done"
    session.jobs.dismiss(job)
    assert not job.folder.exists()
    assert volume.with_name("copy.zarr").exists()


def test_another_session_finds_what_was_interrupted(tmp_path: Path, volume: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from napari_segkit.session import Session
session = Session({str(tmp_path / "project")!r})
session.state["Train"] = {{"steps": 77}}
session.remember()
target = Path({str(volume.with_name("copy.zarr"))!r})
session.jobs.start("convert", "copy", ["convert", {str(volume)!r}, str(target)], target)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    session = Session(tmp_path / "project")
    [job] = session.open()
    assert session.state == {"Train": {"steps": 77}}
    while job.active:  # its process may need a moment to notice
        session.poll()
    if job.state == "paused":
        session.jobs.resume(job)
    assert session.wait(job, 60) == "done"
    session.close()


def test_a_job_that_was_kept_is_followed_by_the_next_session(tmp_path: Path, volume: Path) -> None:
    first = Session(tmp_path / "project")
    first.open()
    job = convert(first, volume)
    first.close(keep=lambda job: True)
    second = Session(tmp_path / "project")
    [found] = second.open()
    assert found.process.pid == job.process.pid
    assert second.wait(found, 60) == "done"
    second.close()
    job.process.wait(5)


def test_a_damaged_project_file_is_reported_and_kept(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "project.json").write_text("{")
    session, problems = Session(tmp_path), []
    session.problem.connect(problems.append)
    session.open()
    [problem] = problems
    assert "project.json" in problem.sentence
    session.close()
    with project.held(), pytest.raises(BusyError, match="in use"), Project(tmp_path).held():
        pass


def test_of_versions_that_wait_for_the_disk_the_last_is_written(tmp_path: Path, monkeypatch) -> None:
    free, written = threading.Event(), []

    def slow_disk(path: Path, body: bytes, *, flush: bool) -> None:
        assert free.wait(10)
        written.append((path.name, body))

    monkeypatch.setattr("napari_segkit.session._writing.replace_file", slow_disk)
    made = Writer()
    for number in range(5):
        made.replace(tmp_path / "one", b"%d" % number)
        made.replace(tmp_path / "two", b"%d" % number)
    free.set()
    made.finish()
    assert [body for name, body in written if name == "two"] == [b"4"]
    assert [body for name, body in written if name == "one"][-1] == b"4"
    assert len(written) <= 3  # the first may have been under way already


def test_what_the_disk_refuses_is_said_once_and_tried_again(session: Session, tmp_path: Path, monkeypatch) -> None:
    def refuse(path: Path, body: bytes, *, flush: bool) -> None:
        raise StorageError(f"{path} cannot be written: no space is left")

    with monkeypatch.context() as full:
        full.setattr("napari_segkit.session._writing.replace_file", refuse)
        session.state["page"] = "Train"
        session.remember()
        writer.finish()
        session.poll()
        session.poll()
    [problem] = session.problems
    assert "no space is left" in problem.sentence
    session.remember()
    writer.finish()
    assert json.loads((tmp_path / "project" / "project.json").read_text())["page"] == "Train"


def test_what_is_removed_lies_in_the_trash(tmp_path: Path) -> None:
    project = Project(tmp_path)
    box = project.free("annotations", "box", ".zarr")
    box.mkdir()
    assert project.free("annotations", "box", ".zarr").name == "box-2.zarr"
    gone = project.trash(box)
    assert gone.is_dir()
    assert not box.exists()
    assert project.results("annotations") == []


def test_work_in_threads_comes_back_to_the_caller(session: Session) -> None:
    found = []
    session.in_background(lambda: 1 / 1, found.append)
    session.in_background(lambda: 1 / 0, found.append, "Data")
    while session.tasks.busy:
        session.poll()
    assert found == [1.0]
    [problem] = session.problems
    assert (problem.sentence, problem.page) == ("ZeroDivisionError: division by zero", "Data")
    assert "Traceback" in problem.details


def test_the_selection_has_a_history() -> None:
    selection, seen = Selection(), []
    selection.changed.connect(lambda: seen.append(selection.ids))
    selection.choose([90003])
    selection.toggle(17)
    selection.look_at(4)
    assert (selection.ids, selection.active, selection.node) == ((90003, 17), 17, 4)
    selection.back()
    selection.back()
    assert selection.ids == (90003,)
    selection.forward()
    assert selection.ids == (90003, 17)
    selection.toggle(90003)
    assert selection.ids == (17,)
    selection.choose([17])
    assert len(seen) == 7


def test_problems_describe_exceptions() -> None:
    problem = Problem.of(ValueError("no"), "Data")
    assert problem.sentence == "ValueError: no"


def test_progress_of_a_job_is_read_from_its_records(session: Session, volume: Path, tmp_path: Path) -> None:
    from datetime import datetime

    job = convert(session, volume)
    session.wait(job, 60)
    job.state, job.process = "running", type(job.process)(["--version"], tmp_path / "log", tmp_path / "events")
    append_record(job.events, {"event": "progress", "what": "Stitching", "unit": "seams", "done": 3, "total": 9000})
    job.poll()
    assert (job.what, job.done, job.total) == ("Stitching", 3, 9000)
    assert job.line(datetime(2026, 1, 1)).startswith("3/9\N{NARROW NO-BREAK SPACE}000 seams")
    job.process.wait(30)
