"""What is published is complete: files, folders, journals and locks, with every operation made to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segkit import durable
from segkit.errors import BusyError, DataError, StorageError

PLANS = """
import sys, os, json
from pathlib import Path
from segkit import durable
folder = Path(sys.argv[1])
def work():
    durable.make_dirs(folder / "deep" / "er")
    durable.replace_file(folder / "file", b"new" * 100)
    durable.append_record(folder / "journal", {"n": 2})
    with durable.publish_dir(folder / "out") as temporary:
        durable.replace_file(temporary / "inside", b"new")
def prepare():
    durable.replace_file(folder / "file", b"old" * 100)
    durable.append_record(folder / "journal", {"n": 1})
prepare()
before = durable.faults.count
work()
points = durable.faults.count - before
for mode in ("kill", "torn", "enospc", "eio"):
    for at in range(1, points + 1):
        os.system(f"rm -rf {folder}/*")
        prepare()
        child = os.fork()
        if child == 0:
            durable.faults.count, durable.faults.at, durable.faults.mode = 0, at, mode
            try:
                work()
            except OSError:
                os._exit(74)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        file = (folder / "file").read_bytes()
        out = folder / "out"
        records = [r["n"] for r in durable.cut_torn_tail(folder / "journal")]
        durable.append_record(folder / "journal", {"n": 3})
        print(json.dumps({
            "mode": mode, "at": at, "status": status,
            "file": file in (b"old" * 100, b"new" * 100),
            "out": not out.exists() or (out / "inside").read_bytes() == b"new",
            "journal": records in ([1], [1, 2]) and [r["n"] for r in durable.read_records(folder / "journal")[0]] == [*records, 3],
        }))
"""


def test_every_operation_may_fail_in_every_way(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PLANS, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(results) > 40
    assert [r for r in results if not (r["file"] and r["out"] and r["journal"])] == []
    # The faults do happen: each child was killed or saw an error.
    assert [r for r in results if r["status"] == 0] == []


def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    durable.replace_file(path, b"first")

    def fails(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        durable.replace_file(path, fails)
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_without_flush_nobody_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: pytest.fail("waited"))
    for data in (b"new", lambda path: path.write_bytes(b"new")):
        (tmp_path / "file").write_bytes(b"old")
        durable.replace_file(tmp_path / "file", data, flush=False)
        assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    durable.replace_file(tmp_path / "file", b"x")
    with durable.publish_dir(tmp_path / "folder") as folder:
        durable.replace_file(folder / "inside", b"x")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def publish_half() -> None:
        with durable.publish_dir(tmp_path / "out") as folder:
            (folder / "a").write_text("a")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        publish_half()
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with durable.publish_dir(tmp_path / "out") as folder:
            (folder / text).write_text(text)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["two"]


def test_orphans_are_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".segkit-tmp-abc").write_text("x")
    (tmp_path / ".segkit-tmp-dir").mkdir()
    (tmp_path / "mine").write_text("x")
    durable.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_folders_are_made_and_removed(tmp_path: Path) -> None:
    durable.make_dirs(tmp_path / "a" / "b")
    durable.make_dirs(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").write_text("x")
    durable.remove(tmp_path / "a")
    durable.remove(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("x")
    with pytest.raises((StorageError, FileExistsError, NotADirectoryError)):
        durable.make_dirs(tmp_path / "file" / "below")


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_torn_journal_is_cut_at_its_last_whole_line(tmp_path: Path, cut: int) -> None:
    journal = tmp_path / "journal"
    for number in range(3):
        durable.append_record(journal, {"n": number, "text": "µm\n"})
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) - cut])
    kept = [r["n"] for r in durable.cut_torn_tail(journal)]
    assert kept == list(range(len(kept)))
    durable.append_record(journal, {"n": 9})
    assert [r["n"] for r in durable.read_records(journal)[0]] == [*kept, 9]


def test_a_changed_line_ends_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for number in range(3):
        durable.append_record(journal, {"n": number}, sync=False)
    content = bytearray(journal.read_bytes())
    content[content.index(b'"n":1') + 4] = ord("7")
    journal.write_bytes(content)
    assert [r["n"] for r in durable.read_records(journal)[0]] == [0]


def test_a_journal_is_read_on_from_where_one_was(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    assert durable.read_records(journal) == ([], 0)
    durable.append_record(journal, {"n": 0})
    _, end = durable.read_records(journal)
    durable.append_record(journal, {"n": 1})
    assert [r["n"] for r in durable.read_records(journal, end)[0]] == [1]


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from segkit import durable\n"
        "with durable.lock(Path(sys.argv[1]), 'the run'): print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(BusyError, match=f"the run is in use by process {holder.pid}"),
            durable.lock(path, "the run"),
        ):
            pass
        holder.kill()
        holder.wait()
        with durable.lock(path, "the run"):
            pass  # a lock dies with its holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()


def test_hash_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert durable.file_sha256(tmp_path / "file").startswith("ba7816bf")
    with pytest.raises(DataError, match="missing"):
        durable.file_sha256(tmp_path / "none")
