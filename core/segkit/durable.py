"""The only place that renames, fsyncs, truncates or locks: everything segkit keeps is written through here.

What is published is complete: a file or folder appears under its name only after its bytes are on the disk, so a
kill, a full disk or a power cut leaves either the old state or the new one. Order, everywhere: write under a
temporary name in the same folder, fsync it, rename it, fsync the folder.

A fault plan (`faults`) makes the n-th operation fail or kill the process, which is how the tests reach every one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import IO, Any, Literal

from segkit.errors import BusyError, DataError, StorageError

try:
    import fcntl
except ImportError:  # Windows: one process a run is then the user's own care
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "append_record",
    "cut_torn_tail",
    "faults",
    "file_sha256",
    "lock",
    "make_dirs",
    "publish_dir",
    "read_records",
    "remove",
    "replace_file",
    "storage_errors",
    "sweep",
]

_TEMPORARY = ".segkit-tmp-"


@dataclass(slots=True)
class Faults:
    """What to do at the n-th durable operation of this process (counted from 1).

    Parameters
    ----------
    at
        Number of the operation that fails; 0 for none.
    mode
        ``kill`` the process, write half and kill it (``torn``), or raise ``enospc`` or ``eio``.
    count
        Operations seen so far.
    """

    at: int = 0
    mode: Literal["kill", "torn", "enospc", "eio"] = "kill"
    count: int = 0

    def reach(self, file: IO[bytes] | None = None, data: bytes = b"") -> None:
        """Count one operation and fail if its turn has come."""
        self.count += 1
        if self.count != self.at:
            return
        if self.mode in ("enospc", "eio"):
            code = errno.ENOSPC if self.mode == "enospc" else errno.EIO
            raise OSError(code, os.strerror(code))
        if self.mode == "torn" and file is not None:
            file.write(data[: len(data) // 2])
            file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def _faults_from_environment() -> Faults:
    at, _, mode = os.environ.get("SEGKIT_FAULT", "0").partition(":")
    return Faults(int(at), mode or "kill")  # type: ignore[arg-type]


faults = _faults_from_environment()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal inside the block into one `StorageError` about `path`."""
    try:
        yield
    except (StorageError, BlockingIOError, FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        message = f"Writing {path} failed: {os.strerror(error.errno) if error.errno else error}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent if path.parent.exists() else Path.cwd()).free
            message += f" {free / 2**20:.0f} MiB are free there. Make room, then run the same command again."
        else:
            message += " What was there before is untouched. Check the disk and your permissions, then try again."
        raise StorageError(message) from error


def _fsync_dir(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        faults.reach()
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Reading it sets it for a moment, for all threads: once, before there are any.
_UMASK = _read_umask()


def _write(file: IO[bytes], data: bytes, flush: bool = True) -> None:
    faults.reach(file, data)
    file.write(data)
    file.flush()
    if flush:
        faults.reach()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes | Callable[[Path], object], *, flush: bool = True) -> None:
    """Put a complete file at `path`, replacing the one that may be there.

    Parameters
    ----------
    path
        Where the file goes; its folder exists.
    data
        The bytes, or a function that writes them to the path it is given.
    flush
        Whether to wait until the disk has it, which takes half a second while another process writes much. Without, the
        file is whole whenever anybody looks, also after this process was killed; a power cut may damage it.

    Raises
    ------
    StorageError
        If the disk refuses; whatever was at `path` is then unchanged.
    """
    with storage_errors(path):
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, suffix="".join(path.suffixes[-2:]), dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                if isinstance(data, bytes):
                    _write(file, data, flush)
                else:
                    data(temporary)
            if flush and not isinstance(data, bytes):
                with temporary.open("rb+") as file:
                    faults.reach()
                    os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_UMASK)  # mkstemp and safetensors make files that nobody else may read
            faults.reach()
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if flush:
            _fsync_dir(path.parent)


@contextmanager
def publish_dir(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name, and let it appear at `path` only when the block ends well.

    A folder that is at `path` already is replaced. The block writes its files into the folder it is given, with
    `replace_file` or by any other means.

    Raises
    ------
    StorageError
        If the disk refuses; whatever was at `path` is then unchanged.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_UMASK)
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    with file.open("rb+") as opened:
                        os.fsync(opened.fileno())
            _fsync_dir(temporary)
            if path.exists():
                # A folder cannot be renamed over a full one: move the old one aside first. A kill in between leaves
                # the old folder under its temporary name, which is why callers publish under fresh names where they can.
                aside = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=path.parent)) / path.name
                faults.reach()
                path.replace(aside)
                faults.reach()
                temporary.replace(path)
                shutil.rmtree(aside.parent, ignore_errors=True)
            else:
                faults.reach()
                temporary.replace(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _fsync_dir(path.parent)


def make_dirs(path: Path) -> None:
    """Make a folder and those above it that are missing, each one on the disk before the next is made in it.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    if path.is_dir():
        return
    make_dirs(path.parent)
    with storage_errors(path):
        faults.reach()
        path.mkdir(exist_ok=True)
        _fsync_dir(path.parent)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing happens if there is none.

    Raises
    ------
    StorageError
        If the disk refuses; part of a folder may then be gone.
    """
    if not path.exists():
        return
    with storage_errors(path):
        faults.reach()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        _fsync_dir(path.parent)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written directly in `folder` (only under segkit's temporary names)."""
    for orphan in folder.glob(f"{_TEMPORARY}*"):
        if orphan.is_dir():
            shutil.rmtree(orphan, ignore_errors=True)
        else:
            orphan.unlink(missing_ok=True)


def _checksum(body: str) -> str:
    return blake2b(body.encode(), digest_size=8).hexdigest()


def append_record(path: Path, record: dict[str, Any], *, sync: bool = True) -> None:
    """Append one line to a journal: the record as JSON, with a checksum of its own.

    Parameters
    ----------
    path
        The journal; made if it is not there.
    record
        Anything JSON can say; non-finite numbers are refused.
    sync
        Whether the line must be on the disk before this returns. Lines that can be recomputed need not be.
    """
    body = json.dumps(record, allow_nan=False, separators=(",", ":"))
    line = f"{_checksum(body)} {body}\n".encode()
    with storage_errors(path), path.open("ab") as file:
        faults.reach(file, line)
        file.write(line)
        file.flush()
        if sync:
            faults.reach()
            os.fsync(file.fileno())


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        checksum, body = line.decode().rstrip("\n").split(" ", 1)
        if line.endswith(b"\n") and _checksum(body) == checksum:
            record: dict[str, Any] = json.loads(body)
            return record
    except ValueError:
        pass
    return None


def read_records(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read a journal from byte `start`; another process may be writing it.

    Returns
    -------
    tuple
        The records whose checksum holds, up to the first that does not, and the byte behind the last of them, from
        which to go on reading.
    """
    records: list[dict[str, Any]] = []
    if not path.exists():
        return records, start
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            record = _parse_line(line)
            if record is None:
                break
            records.append(record)
            start += len(line)
    return records, start


def cut_torn_tail(path: Path) -> list[dict[str, Any]]:
    """Cut a journal behind its last valid record, as its writer must before it appends; return the records."""
    records, end = read_records(path)
    if path.exists() and path.stat().st_size > end:
        with storage_errors(path), path.open("rb+") as file:
            faults.reach()
            file.truncate(end)
            os.fsync(file.fileno())
    return records


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold `path` as a lock that dies with this process.

    Parameters
    ----------
    path
        The lock file; it stays behind, empty of meaning, when the lock is released.
    what
        What is being locked, for the message to whoever comes second.

    Raises
    ------
    BusyError
        At once, if another process holds it; the message names that process.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise BusyError(
                    f"{what} is in use by {holder}. Wait until that has ended, or stop it, then run this again."
                ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    DataError
        If there is no such file.
    """
    digest = sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: the folder is not complete. Copy it again, whole.") from error
    return digest.hexdigest()
