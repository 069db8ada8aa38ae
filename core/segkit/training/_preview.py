"""What a training shows of itself while it runs, so that a viewer can tell whether it learns what it should.

Whoever watches leaves a wish in the run folder, and replaces it whenever it changes:

``preview/request.json``
    ``{"request", "source", "start", "shape"}``: predict a region of a volume, in voxels (z, y, x). With ``"every"``, again
    only when so many steps, or ten seconds, have passed; with ``"now": true``, at once, whatever it costs.
``preview/patch.json``
    ``{"request"}``: show the middle of one training patch, as the network sees it.

The training answers each with a file and an event, and spends at most a tenth of its time on it. Nothing of this changes
what is trained.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from segkit.contracts import respond
from segkit.durable import replace_file
from segkit.errors import SegkitError
from segkit.geometry import Box
from segkit.opening import open_volume
from segkit.sampling import stack
from segkit.training._events import Patch, Preview
from segkit.training._setup import Setup
from segkit.training._step import autocast, to_device
from segkit.volume import Volume

__all__ = ["Previewer"]

SHARE_OF_TIME = 0.1
LARGEST = (16, 768, 768)
LOOKS_EVERY_SECONDS = 0.2
AGAIN_SECONDS = 10.0
ANSWERS_KEPT = 2


class Previewer:
    """Answers the wishes in one run folder.

    Parameters
    ----------
    folder
        The ``preview`` folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._volume: tuple[str, Volume] | None = None
        self._looked = self._credited = self._at = monotonic()
        self._credit = self._cost = 0.0  # seconds that may be spent, and that the last prediction took
        self._last: tuple[str, int] | None = None
        self._patch = ""
        self._answers = 0

    def answers(self, setup: Setup, step: int) -> Iterator[Preview | Patch]:
        """Yield an answer to each wish that is new, or is to be answered again, and for which there is time."""
        now = monotonic()
        if now - self._looked < LOOKS_EVERY_SECONDS:
            return
        # What was not spent is saved up for a moment in which the user moves, but not for a long series of them.
        self._credit = min(self._credit + SHARE_OF_TIME * (now - self._credited), max(0.5, 2 * self._cost))
        self._looked = self._credited = now
        for answer in (self._region, self._example):
            try:
                event = answer(setup, step)
            except (OSError, ValueError, KeyError, TypeError, SegkitError):
                continue  # no wish, or one that cannot be answered, is no reason to disturb a training
            if event is not None:
                self._credit -= event.seconds
                self._credited = monotonic()
                yield event

    def _region(self, setup: Setup, step: int) -> Preview | None:
        if getattr(setup.task, "own_channels", 0):
            return None  # nothing that a network makes of a region by itself could be shown
        asked = json.loads((self._folder / "request.json").read_text(encoding="utf-8"))
        request = str(asked["request"])
        if self._last is not None and self._last[0] == request:
            # Enough is left over for the user's next move.
            due = step >= self._last[1] + max(1, int(asked.get("every", 1))) or monotonic() - self._at > AGAIN_SECONDS
            if not due or step == self._last[1] or self._credit < self._cost:
                return None
        elif self._credit < 0 and not asked.get("now"):
            return None
        image = self._open(str(asked["source"]))
        shape = [min(int(n), most) for n, most in zip(asked["shape"], LARGEST, strict=True)]
        box = Box.of_shape(shape, [int(s) for s in asked["start"]]) & image.box
        if box is None:
            return None
        began = monotonic()
        prediction = self._predict(setup, image, box)
        buffer = io.BytesIO()
        np.save(buffer, np.round(255 * prediction.clip(0, 1)).astype(np.uint8), allow_pickle=False)
        # Never the same name twice: a reader that comes late finds no file rather than the voxels of another place.
        self._answers += 1
        target = self._folder / f"prediction-{step}-{self._answers}.npy"
        replace_file(target, buffer.getvalue())
        older = sorted(self._folder.glob("prediction*.npy"), key=lambda path: path.stat().st_mtime)
        for path in older[:-ANSWERS_KEPT]:
            path.unlink(missing_ok=True)
        self._at = monotonic()
        self._cost, self._last = self._at - began, (request, step)
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

    def _example(self, setup: Setup, step: int) -> Patch | None:
        """Show the middle slice of a training patch: image, target, where it is known, and output."""
        import torch

        request = str(json.loads((self._folder / "patch.json").read_text(encoding="utf-8"))["request"])
        if request == self._patch or self._credit < 0:
            return None
        began = monotonic()
        batch = to_device(
            stack([setup.sampler.training_example(step - 1, 0)]), setup.device, setup.recipe.training.layout
        )
        network = setup.average if setup.average is not None else setup.network
        was_training = network.training
        network.eval()
        with torch.inference_mode(), autocast(setup):
            output = setup.task.activate(respond(setup.task, network, batch).float())[0].cpu().numpy()
        network.train(was_training)
        middle = batch.raw.shape[2] // 2
        target = batch.target[0].cpu().numpy()
        if target.ndim == 3:  # classes that exclude each other
            target = target[None] == np.arange(len(output)).reshape(-1, 1, 1, 1)
        mask = np.broadcast_to(batch.mask[0].cpu().numpy() > 0, target.shape)
        wanted, got = target[:, middle].astype(np.float32), output[:, middle]
        known = wanted[mask[:, middle]]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        low, high = (0.0, 1.0) if 0 <= low <= high <= 1 else (low, high)
        raw = batch.raw[0, :, middle].cpu().numpy()
        buffer = io.BytesIO()
        np.savez(
            buffer,
            image=_bytes(raw, *(float(v) for v in np.percentile(raw, (0.5, 99.5)))),
            target=_bytes(wanted, low, high),
            output=_bytes(got, low, high),
            mask=mask[:, middle],
        )
        path = self._folder / "patch.npz"
        replace_file(path, buffer.getvalue())
        self._patch = request
        return Patch(step, str(path), batch.origins[0], request, monotonic() - began)


def _bytes(values: np.ndarray[Any, Any], low: float, high: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    scaled = (values - low) * (255 / (high - low if high > low else 1.0))
    whole: np.ndarray[Any, np.dtype[np.uint8]] = np.nan_to_num(scaled).clip(0, 255).round().astype(np.uint8)
    return whole
