"""Predictions on request while a training runs, so that a viewer can show what the network makes of the slice in view.

Whoever watches writes ``preview/request.json``: ``{"request", "source", "start", "shape"}``, a region of a volume in
voxels (z, y, x). The training answers with ``preview/prediction.npy`` and a `Preview` event, and spends at most a tenth
of its time on it. Nothing of this changes what is trained.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from segkit.durable import replace_file
from segkit.errors import SegkitError
from segkit.geometry import Box
from segkit.opening import open_volume
from segkit.training._events import Preview
from segkit.training._setup import Setup
from segkit.volume import Volume

__all__ = ["Previewer"]

SHARE_OF_TIME = 0.1
LARGEST_SIDE = 768


class Previewer:
    """Answers the preview requests of one run.

    Parameters
    ----------
    folder
        The ``preview`` folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._volume: tuple[str, Volume] | None = None
        self._checked = self._answered = monotonic()
        self._cost = 0.0
        self._last: tuple[str, int] | None = None

    def answer(self, setup: Setup, step: int) -> Preview | None:
        """Predict what is asked for, if anything is, it is new, and there is time for it."""
        if getattr(setup.task, "own_channels", 0):
            return None  # nothing that a network makes of a region by itself could be shown
        now = monotonic()
        if now - self._checked < 0.2 or now - self._answered < self._cost / SHARE_OF_TIME:
            return None
        self._checked = now
        try:
            asked = json.loads((self._folder / "request.json").read_text(encoding="utf-8"))
            request, source, start, shape = str(asked["request"]), str(asked["source"]), asked["start"], asked["shape"]
            if self._last == (request, step):
                return None
            image = self._open(source)
            largest = (16, LARGEST_SIDE, LARGEST_SIDE)
            box = (
                Box.of_shape([min(int(n), m) for n, m in zip(shape, largest, strict=True)], [int(s) for s in start])
                & image.box
            )
        except (OSError, ValueError, KeyError, TypeError, SegkitError):
            return None  # no request, or one that cannot be answered, is no reason to disturb a training
        if box is None:
            return None
        prediction = self._predict(setup, image, box)
        buffer = io.BytesIO()
        np.save(buffer, np.round(255 * prediction.clip(0, 1)).astype(np.uint8), allow_pickle=False)
        target = self._folder / "prediction.npy"
        replace_file(target, buffer.getvalue())
        self._cost, self._last, self._answered = monotonic() - now, (request, step), monotonic()
        return Preview(step, str(target), box.start, box.shape, request, self._cost)

    def _open(self, source: str) -> Volume:
        if self._volume is None or self._volume[0] != source:
            self._volume = (source, open_volume(source))
        return self._volume[1]

    def _predict(self, setup: Setup, image: Volume, box: Box) -> np.ndarray[Any, Any]:
        model = setup.model({})
        was_training = model.network.training
        model.network.eval()
        stride = (1, 1, 1, *(getattr(model.network, "stride", None) or ()))[-3:]
        block = [-(-min(n, p) // s) * s for n, p, s in zip(box.shape, (16, 256, 256), stride, strict=True)]
        prediction = model(image, block_shape=(block[0], block[1], block[2])).read(box)
        model.network.train(was_training)
        return prediction
