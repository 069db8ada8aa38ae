"""What tests share: one thread, small synthetic volumes, and a registry that starts empty.

Nothing here imports torch, and numpy only when a fixture asks for it.
"""

from __future__ import annotations

import os

# Read by OpenMP, and so by torch, when it is first loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

settings.register_profile("segkit", deadline=None)  # a machine that is busy is no failure
settings.load_profile("segkit")

if TYPE_CHECKING:
    import numpy as np

    from segkit import Sample, Volume
    from segkit._plugins import PluginManager


@pytest.fixture(autouse=True)
def _same_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep switches of the developer's shell out of the tests."""
    for switch in ("SEGKIT_PLUGINS", "SEGKIT_STRICT_PLUGINS", "SEGKIT_DEBUG"):
        monkeypatch.delenv(switch, raising=False)


@pytest.fixture
def isolated_plugins(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    """Let `segkit.registry` start with no plugin at all; what a test registers is gone after it."""
    from segkit import registry
    from segkit._plugins import PluginManager

    manager = PluginManager(registry._check_factory, points=())
    monkeypatch.setattr(registry, "_manager", manager)
    for each in registry.registries.values():
        for attribute, value in (("_manager", manager), ("_generation", -1), ("_by_name", {})):
            monkeypatch.setattr(each, attribute, value)
    return manager


@pytest.fixture
def rng() -> np.random.Generator:
    """A source of random numbers that is the same in every run."""
    import numpy as np

    return np.random.default_rng(20)


@pytest.fixture
def label_array() -> np.ndarray:
    """Five round objects, ids 1 to 5, in a background of 0: ``(16, 32, 32)`` uint64."""
    import numpy as np

    z, y, x = np.ogrid[:16, :32, :32]
    labels = np.zeros((16, 32, 32), np.uint64)
    for label, (cz, cy, cx) in enumerate([(4, 7, 7), (11, 8, 24), (8, 16, 16), (5, 25, 8), (11, 24, 25)], 1):
        labels[(2.0 * (z - cz)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 36] = label
    return labels


@pytest.fixture
def labels_volume(label_array: np.ndarray) -> Volume:
    """`label_array` with voxels of 40 x 16 x 16 nm."""
    from segkit import Volume

    return Volume.from_array(label_array, voxel_size=(40.0, 16.0, 16.0), source="synthetic labels")


@pytest.fixture
def raw_volume(label_array: np.ndarray, rng: np.random.Generator) -> Volume:
    """An image of `label_array`: bright objects and noise, uint8."""
    import numpy as np

    from segkit import Volume

    image = 60 + 120 * (label_array > 0) + rng.normal(0, 12, label_array.shape)
    return Volume.from_array(
        image.clip(0, 255).astype(np.uint8), voxel_size=(40.0, 16.0, 16.0), source="synthetic image"
    )


@pytest.fixture
def sample(raw_volume: Volume, labels_volume: Volume) -> Sample:
    """The image with its labels, known everywhere."""
    from segkit import Sample

    return Sample("synthetic", raw_volume, labels_volume)
