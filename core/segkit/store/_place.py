"""Where a store lies, on this machine or behind a URL, and how one small file of it is read.

Only files, http(s) and the object stores gs and s3 are reached. A transfer that crawls is given up by curl after 20
seconds; a server that fails is asked again for about ten seconds; and whoever waits for an answer has a deadline.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from segkit.errors import DataError

__all__ = ["CACHE_BYTES", "TIMEOUT", "Folder", "Remote", "context", "failure", "kvstore", "locate", "read_file", "wait"]

TIMEOUT = 60.0
CACHE_BYTES = 64 * 2**20  # decoded chunks of all open stores together
_LIMITS = {"TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "20", "TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES": "1024"}
_RETRIES = {"max_retries": 6, "initial_delay": "200ms", "max_delay": "4s"}
_AWS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder or file at a URL.

    Parameters
    ----------
    url
        Without a slash at its end.
    timeout
        Seconds within which an answer must be complete.
    """

    url: str
    timeout: float = TIMEOUT

    def __truediv__(self, name: str) -> Remote:
        parts = urlsplit(self.url)
        path = "/".join(part for part in (parts.path.rstrip("/"), name.strip("/")) if part)
        return replace(self, url=urlunsplit(parts._replace(path=path if path.startswith("/") else f"/{path}")))

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the path."""
        return urlsplit(self.url).path.rstrip("/").rpartition("/")[2]


Folder = Path | Remote


class _Awaited(Protocol):
    def result(self, timeout: float | None = None) -> Any: ...

    def cancel(self) -> Any: ...


def locate(source: str, timeout: float = TIMEOUT) -> Folder:
    """Return where a source lies.

    Raises
    ------
    DataError
        If it is a URL of a kind that is not reached.
    """
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source):
        return Path(source)
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise DataError(f"{source} is no URL: {error}. Check the spelling.") from error
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in ("http", "https", "gs", "s3") or not parts.netloc:
        raise DataError(
            f"{source} cannot be reached: segkit opens files and URLs that begin with file://, http://, https://, gs:// or "
            "s3:// and a host or bucket. Give one of those, or download the data."
        )
    return Remote(source.partition("#")[0].rstrip("/"), timeout)


@cache
def context(cache_bytes: int = CACHE_BYTES) -> Any:
    """Return what all open stores share: one bounded cache, and how often a server is asked again."""
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)  # read by tensorstore at its first request
    import tensorstore

    retries = {f"{driver}_request_retries": _RETRIES for driver in ("http", "gcs", "s3")}
    return tensorstore.Context({"cache_pool": {"total_bytes_limit": cache_bytes}, **retries})


def kvstore(place: Folder, *, file: bool = False) -> dict[str, Any]:
    """Return how tensorstore reaches a folder, or one file."""
    end = "" if file else "/"
    if isinstance(place, Path):
        return {"driver": "file", "path": f"{place.resolve()}{end}"}
    parts = urlsplit(place.url)
    path = parts.path.rstrip("/") + end
    if parts.scheme in ("http", "https"):
        query = f"?{parts.query}" if parts.query else ""
        return {"driver": "http", "base_url": f"{parts.scheme}://{parts.netloc}{query}", "path": path or "/"}
    spec: dict[str, Any] = {"bucket": parts.netloc, "path": path.lstrip("/")}
    if parts.scheme == "gs":
        return {"driver": "gcs", **spec}
    if not any(name in os.environ for name in _AWS) and not (Path.home() / ".aws").exists():
        spec["aws_credentials"] = {"type": "anonymous"}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    spec |= {"aws_region": region} if region else {}
    return {"driver": "s3", **spec, **({"endpoint": endpoint} if endpoint else {})}


def wait(future: _Awaited, place: Folder, timeout: float) -> Any:
    """Return what a future brings, or raise a `TimeoutError` after giving it up."""
    try:
        return future.result(timeout if isinstance(place, Remote) else None)
    except TimeoutError as error:
        future.cancel()
        raise TimeoutError(f"no complete answer within {timeout:g} s") from error


def read_file(place: Folder, most: int) -> bytes | None:
    """Return the content of one small file, or None if it is not there.

    Raises
    ------
    DataError
        If it cannot be reached, or is larger than `most` bytes.
    """
    try:
        if isinstance(place, Path):
            if not place.is_file():
                return None
            size = place.stat().st_size
            content = b"" if size > most else place.read_bytes()
        else:
            import tensorstore

            whole = context()
            store = wait(tensorstore.KvStore.open(kvstore(place, file=True), context=whole), place, place.timeout)
            answer = wait(store.read(""), place, place.timeout)
            if answer.state != "value":
                return None
            content, size = bytes(answer.value), len(answer.value)
    except (ValueError, OSError, RuntimeError) as error:
        raise failure(place, "", error) from error
    if size > most:
        raise DataError(f"{place} cannot be read: it is larger than {most >> 20} MiB, which metadata never are.")
    return content


def failure(place: Folder | str, region: str, error: Exception) -> DataError:
    """Return the one error that tells what could not be read, why, and what to do."""
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = re.sub(r" \[(tensorstore_spec|source locations|http_response_body)=.*", "", reason)[:300]
    if isinstance(error, TimeoutError):
        advice = "Check the network and the server, and try again; '#timeout=300' after the URL allows it 300 seconds."
    elif "NOT_FOUND" in reason and region:
        advice = (
            "Either the data are incomplete (see whether other places and scales are there), or such chunks were left out "
            "because they hold only the fill value: then open it with '#missing=fill' after its name."
        )
    elif "PERMISSION_DENIED" in reason or "UNAUTHENTICATED" in reason:
        advice = "It asks for other credentials, or is not there; check the URL and what you are signed in as."
    elif re.search(r"HTTP code 30\d", reason):
        advice = "The server sends on to another address, which is not followed; give the address that it sends to."
    elif "://" in str(place) and re.match("ABORTED|UNAVAILABLE|DEADLINE|INTERNAL|UNKNOWN|RESOURCE", reason):
        advice = "The network or the server fails; check the URL and try again later."
    else:
        advice = "The data are damaged there, or not what they are said to be; copy or write them again."
    at = f" at {region}" if region else ""
    return DataError(f"Reading {place}{at} failed: {reason}. {advice}")
