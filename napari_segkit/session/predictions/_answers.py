"""A child process that holds a trained model and answers for it, so that this process never loads torch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

import numpy as np

from segkit import errors
from segkit.errors import SegkitError
from segkit.geometry import Box

__all__ = ["Answering"]

QUIET_SECONDS = 90.0


class Answering:
    """One child, started when it is first asked. Questions block: ask them in threads. Thread-safe.

    Raises
    ------
    SegkitError
        From each question: what the library said in the child, or that the child ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._said: Any = None
        self._open: tuple[Any, ...] = ()
        self._head: dict[str, Any] = {}
        self._asked = monotonic()
        self._ended = False

    @property
    def running(self) -> bool:
        """Whether the child is there."""
        process = self._process
        return process is not None and process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the child; 0 where there is none."""
        return self._process.pid if self._process is not None and self.running else 0

    def estimate(self, request: Mapping[str, Any], target: str) -> dict[str, Any]:
        """Return what a prediction will take: ``blocks``, ``seconds``, ``disk``, ``memory``, ``memory_free``."""
        with self._lock:
            return self._ask({"do": "estimate", **request, "target": target})[0]

    def open(
        self, model: str, source: str, tile: tuple[int, int, int], *, fractions: bool, device: str = "auto"
    ) -> dict[str, Any]:
        """Hold a model over an image, and return ``tile``, ``shape``, ``channels`` and ``dtype`` of what it predicts."""
        with self._lock:
            return self._opened((model, source, tile, fractions, device))

    def tile(self, opened: tuple[str, str, tuple[int, int, int], bool, str], box: Box) -> np.ndarray[Any, Any]:
        """Return the prediction in a box, ``(K, Z, Y, X)``, of what `open` was called with."""
        with self._lock:
            head = self._opened(opened)
            found, body = self._ask({"do": "tile", "start": box.start, "shape": box.shape})
        return np.frombuffer(body, head["dtype"]).reshape(found["shape"])

    def _opened(self, key: tuple[str, str, tuple[int, int, int], bool, str]) -> dict[str, Any]:
        if self._open != key or not self.running:
            model, source, tile, fractions, device = key
            self._open = ()
            request = {"do": "open", "model": model, "source": source, "tile": tile, "fractions": fractions}
            self._head, _ = self._ask({**request, "device": device})
            self._open = key
        return self._head

    def _ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
            head = json.loads(line) if line else {}
            body = process.stdout.read(head["bytes"]) if line else b""
        except (OSError, ValueError):
            head, body = {}, b""
        self._asked = monotonic()
        if not head or len(body) != head["bytes"]:
            code = process.wait()
            raise SegkitError(
                f"The process that previews predictions ended (code {code}){self._last_words()}. Ask again, or choose a smaller "
                "region or network if memory is short."
            )
        if "failed" in head:
            kind = getattr(errors, head["type"], SegkitError)
            error = (kind if isinstance(kind, type) and issubclass(kind, SegkitError) else SegkitError)(head["failed"])
            error.add_note(head["details"])
            raise error
        return head, body

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        return f"; the last it said was: {lines[-1][:200]}" if lines else ""

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._release()
            self._open = ()
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the child
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_segkit._answering"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
            if self._ended:  # while this thread was about to start it
                self.close()
                raise SegkitError("The viewer is closing.")
        return self._process

    def rest(self) -> None:
        """End the child if nothing was asked of it for a while: a model takes memory."""
        if self.running and monotonic() - self._asked > QUIET_SECONDS:
            self.close()

    def end(self) -> None:
        """End the child for good."""
        self._ended = True
        self.close()

    def close(self) -> None:
        """End the child, which is started again when it is asked again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._release()

    def _release(self) -> None:
        if self._said is not None:
            self._said.close()
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
