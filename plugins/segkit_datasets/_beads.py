"""Fluorescent beads as a wide-field microscope shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import fastremap
import numpy as np
from scipy.ndimage import gaussian_filter

from segkit.addressing import rng
from segkit.geometry import Triple
from segkit.volume import Spacing

from ._generated import Generated

Array = np.ndarray[Any, Any]
_DEPTH_OF_FIELD_NM = 1000.0
_GAIN, _OFFSET, _READ_NOISE = 8.0, 100.0, 2.5  # camera: counts a photon, counts in the dark, electrons


@dataclass(frozen=True)
class Beads:
    """Makes images of beads; the parameters are those of the dataset."""

    size: tuple[int, int]
    number: tuple[int, int]
    diameter: float
    clustering: float
    seed: int
    pixel_size: float
    photons: float
    unevenness: float

    @property
    def shape(self) -> Triple:
        """One z, y, x."""
        return 1, *self.size

    @property
    def voxel_size(self) -> Spacing:
        """The z is the depth of field."""
        return _DEPTH_OF_FIELD_NM, self.pixel_size, self.pixel_size

    @property
    def name(self) -> str:
        """What to call its samples."""
        return "synthetic beads"

    @property
    def dtypes(self) -> tuple[str, str]:
        """Types of the image and of the labels."""
        return ("uint16", "uint16")

    def samples(self, count: int) -> Generated:
        """Return the first `count` images."""
        return Generated(self, count)

    def make(self, index: int) -> tuple[Array, Array]:
        """Return raw and labels of an image."""
        random = rng(self.seed, 0, index, "beads")
        fewest, most = self.number
        beads = round(fewest + (most - fewest) * float(random.beta(1.3, 1.8)))  # mean at 0.42 of the range
        centres = self._places(beads, random)
        radii = 0.5 * self.diameter * np.clip(random.normal(1, 0.06, beads), 0.75, 1.25)
        light = np.zeros(self.size, np.float32)
        labels = np.zeros(self.size, np.uint16)
        for number, ((y, x), radius) in enumerate(zip(centres, radii, strict=True), 1):
            rows, columns = (slice(max(0, int(c - radius - 1)), int(c + radius) + 3) for c in (y, x))
            distance = np.hypot(np.arange(self.size[0])[rows, None] - y, np.arange(self.size[1])[None, columns] - x)
            chord = np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1))  # light through a filled sphere
            light[rows, columns] += float(random.lognormal(-0.25, 0.3)) * chord
            labels[rows, columns][distance <= radius + 0.1] = number
        seen, _ = fastremap.renumber(labels, preserve_zero=True)  # some beads are hidden
        return self._expose(light, random)[None], seen.astype(np.uint16)[None]

    def _places(self, beads: int, random: np.random.Generator) -> Array:
        """Choose centres (y, x): some anywhere, some touching or overlapping one that is there."""
        centres: list[Array] = []
        size = np.array(self.size, float)
        for _ in range(beads):
            for _attempt in range(30):
                if centres and random.random() < self.clustering:
                    angle = random.uniform(0, 2 * np.pi)
                    step = self.diameter * random.uniform(0.72, 1.02)
                    place = centres[int(random.integers(len(centres)))] + step * np.array(
                        [np.sin(angle), np.cos(angle)]
                    )
                else:
                    place = random.uniform(0, size - 1)
                on_image = bool(np.all((place >= 0) & (place <= size - 1)))
                # No bead hides another one: they lie on a slide, more side by side than stacked.
                if on_image and (not centres or np.hypot(*(np.array(centres) - place).T).min() > 0.62 * self.diameter):
                    centres.append(place)
                    break
        return np.array(centres).reshape(-1, 2)

    def _expose(self, light: Array, random: np.random.Generator) -> Array:
        """Blur, light unevenly, and count photons."""
        halo = gaussian_filter(light, 3.5 * self.diameter / 9.5, mode="nearest")
        image = 0.85 * gaussian_filter(light, 1.2, mode="nearest") + 0.35 * halo + 0.06
        y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in self.size), indexing="ij")
        centre, tilt = random.uniform(-0.5, 0.5, 2), random.uniform(-0.3, 0.3, 2)
        shade = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 + tilt[0] * y + tilt[1] * x
        shade = (shade - shade.min()) / (np.ptp(shade) + 1e-9)
        photons = random.poisson(self.photons * image * (1 - self.unevenness * shade))
        counts = _OFFSET + _GAIN * (photons + random.normal(0, _READ_NOISE, self.size))
        image = np.clip(np.rint(counts), 0, 65535)
        return np.asarray(image, np.uint16)
