"""What a server does wrong ends in the same voxels or in one error within the deadline, never in zeros."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

import numpy as np
import pytest
from fixtures.chunked_stores import SHARDING, cells, neuropil, write_n5, write_precomputed
from fixtures.fault_server import KINDS, FaultServer

import segkit
from segkit.errors import DataError, SegkitError
from segkit.geometry import Box

BOX = Box.of_shape((16, 16, 16))  # one chunk of each store
PASSING = ("429 once", "500 once")
# Without a checksum these look like any other chunk where they decode; the others never may.
UNSEEN = ("flipped bit", "wrong content")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with one small store of each kind, in none of which a voxel is 0."""
    root = tmp_path_factory.mktemp("stores")
    write_precomputed(root / "raw", neuropil())
    write_precomputed(root / "jpeg", neuropil(), "jpeg", sharding={**SHARDING, "minishard_bits": 2})
    write_precomputed(root / "labels", cells(), "compressed_segmentation")
    write_n5(root / "n5", neuropil(), (16, 16, 16), "gzip")
    segkit.write_volume(
        segkit.Volume.from_array(neuropil()),
        root / "zarr",
        block_shape=(16, 16, 16),
        chunk_shape=(16, 16, 16),
        pyramid=1,
    )
    return root


def source(server, store):
    prefix = {"n5": "n5://", "zarr": "zarr://"}.get(store, "")
    return f"{prefix}{server.url}/{store}"


def outcome(server, store, kind, timeout):
    """Return what a read under a fault comes to, after checking that it is nothing worse."""
    truth = segkit.open_volume(str(server.folder / store)).read(BOX)
    assert truth.all()
    server.fault = None
    volume = segkit.open_volume(f"{source(server, store)}#timeout={timeout}")
    server.requests.clear()
    server.fault = kind
    began = monotonic()
    found, text = None, ""
    try:
        found = volume.read(BOX)
    except DataError as error:
        text = str(error)
    server.fault = None
    assert monotonic() - began < timeout + 4
    if found is None:
        assert server.url in text
        assert "z0:16, y0:16, x0:16" in text
        assert "\n" not in text
        return "error"
    if np.array_equal(found, truth):
        return "same"
    assert kind in UNSEEN
    assert (found != 0).any(axis=(1, 2)).all()
    return "other"


@pytest.mark.parametrize("kind", ["404", "403", "html", "empty", "wrong content", "redirect to a file", "429 once"])
@pytest.mark.parametrize("store", ["raw", "jpeg", "labels"])
def test_faults_that_are_seen_at_once(stores, store, kind):
    with FaultServer(stores) as server:
        found = outcome(server, store, kind, timeout=8)
    assert found == ("same" if kind in PASSING else "other" if (store, kind) == ("raw", "wrong content") else "error")


@pytest.mark.parametrize("store", ["raw", "zarr"])
def test_a_server_that_stalls_ends_in_an_error_at_the_deadline(stores, store):
    with FaultServer(stores) as server:
        assert outcome(server, store, "stall", timeout=0.4) == "error"
        server.strikes = lambda key: True
        server.fault = "stall in the middle"
        with pytest.raises(DataError, match=r"no complete answer within 0.4 s.*#timeout=300"):
            segkit.open_volume(f"{source(server, store)}#timeout=0.4")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", ["raw", "jpeg", "labels", "n5", "zarr"])
def test_every_fault_in_every_store(stores, store, kind):
    with FaultServer(stores) as server:
        found = outcome(server, store, kind, timeout=4)
    assert found == "same" if kind in PASSING else found in ("error", "other") if kind in UNSEEN else found == "error"
    if kind == "flipped bit" and store == "zarr":
        assert found == "error"  # crc32c


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", ["raw", "n5", "zarr"])
def test_every_fault_while_a_store_is_opened(stores, store, kind):
    prefix = {"raw": "precomputed://", "n5": "n5://", "zarr": "zarr://"}[store]
    with FaultServer(stores) as server:
        server.strikes = lambda key: True
        server.fault = kind
        began = monotonic()
        if kind in PASSING:
            assert segkit.open_volume(f"{prefix}{server.url}/{store}#timeout=4").shape == (40, 44, 48)
        elif kind == "flipped bit":  # within JSON, which has no checksum
            with suppress(SegkitError):
                segkit.open_volume(f"{prefix}{server.url}/{store}#timeout=1.5")
        else:
            with pytest.raises(SegkitError, match=r"127\.0\.0\.1"):
                segkit.open_volume(f"{prefix}{server.url}/{store}#timeout=1.5")
        assert monotonic() - began < 20


def test_a_fault_leaves_nothing_behind(stores):
    with FaultServer(stores) as server:
        volume = segkit.open_volume(source(server, "raw") + "#timeout=8")
        for kind in ("404", "empty", "html"):
            server.fault = kind
            with pytest.raises(DataError):
                volume.read(BOX)
        server.fault = None
        np.testing.assert_array_equal(volume.read(), neuropil())
        before = server.requests.total()
        np.testing.assert_array_equal(volume.read(), neuropil())
        assert server.requests.total() == before  # out of the cache
