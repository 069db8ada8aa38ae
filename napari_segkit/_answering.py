"""Hold a trained model for a viewer, and answer its questions: what a region looks like, and what a prediction will take.

Each line that comes in is a request, as JSON; each is answered, in order, by a line of JSON and the bytes it announces
(``bytes``). Requests: ``open`` (``model``, ``source``, ``device``, ``tile``), ``tile`` (``start``, ``shape``) of what was
opened last, and ``estimate`` (``model``, ``source``, ``region``, ``options``, ``target``). It ends when its input closes,
as it does when the viewer is gone.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Answers", "main"]


class Answers:
    """The model that is held, and what can be asked of it."""

    def __init__(self) -> None:
        self._held: tuple[tuple[str, str], Any] | None = None
        self._volume: Any = None
        self._fractions = False
        self._threads: int | None = None

    def answer(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the head and the bytes of an answer."""
        do = request["do"]
        if do == "open":
            return self._open(request), b""
        if do == "tile":
            return self._tile(request)
        return self._estimate(request), b""

    def _model(self, path: str, device: str) -> Any:
        from segkit.model import Model

        if self._held is None or self._held[0] != (path, device):
            self._held = None  # one at a time: memory of a GPU is dear
            self._held = ((path, device), Model.load(path, device=device))
        return self._held[1]

    def _open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        import torch

        from segkit.opening import open_volume

        model = self._model(request["model"], request.get("device", "auto"))
        stride = _three(getattr(model.network, "stride", None))
        planar = bool(getattr(model.network, "planar", False))
        image = open_volume(request["source"])
        wanted = (1, *request["tile"][1:]) if planar else request["tile"]
        tile = [-(-min(t, n) // s) * s for t, n, s in zip(wanted, image.spatial_shape, stride, strict=True)]
        # One core stays free, so that the window of the viewer moves.
        threads = max(1, torch.get_num_threads() - 1)
        self._volume = model(image, block_shape=tuple(tile), threads=threads)
        self._fractions = bool(request["fractions"])
        return {
            "tile": tile,
            "shape": list(self._volume.spatial_shape),
            "channels": list(self._volume.channel_names) or ["prediction"],
            "dtype": "uint8" if self._fractions else "float32",
            "device": str(next(iter(model.network.parameters())).device),
        }

    def _tile(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        import numpy as np

        from segkit.geometry import Box

        voxels = self._volume.read(Box.of_shape(request["shape"], request["start"]))
        if self._fractions:
            voxels = np.rint(voxels.clip(0, 1) * 255).astype(np.uint8)
        return {"shape": list(voxels.shape)}, np.ascontiguousarray(voxels).tobytes()

    def _estimate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from segkit.model import preflight
        from segkit.prediction import plan_prediction

        options = dict(request["options"])
        model = self._model(request["model"], options.pop("device", "auto"))
        if "block" in options:
            options["block_shape"] = options.pop("block")
        chosen: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        lazy, _ = plan_prediction(model, request["source"], region=request["region"], **chosen)
        found = preflight(lazy, Path(request["target"]))
        return {
            "blocks": found.tiles,
            "seconds": found.seconds,
            "disk": found.disk,
            "memory": found.memory,
            "memory_free": found.memory_free,
            "channels": list(lazy.channel_names),
            "shape": list(lazy.shape),
        }


def _three(values: Any) -> tuple[int, int, int]:
    known = tuple(int(value) for value in values or ())[-3:]
    z, y, x = (1,) * (3 - len(known)) + known
    return z, y, x


def main() -> None:
    """Answer until the input closes."""
    answers = Answers()
    # What libraries print must not get between the answers.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin.buffer:
        try:
            head, body = answers.answer(json.loads(line))
        except Exception as error:  # whatever goes wrong is for the viewer to say
            head, body = {"failed": str(error), "type": type(error).__name__, "details": traceback.format_exc()}, b""
        out.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
        out.flush()


if __name__ == "__main__":
    main()
