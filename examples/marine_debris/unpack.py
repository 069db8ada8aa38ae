"""Sorts patches of MARIDA into three parts by the day they were taken: unpack.py ARCHIVE FOLDER."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import rasterio

DAYS = {
    "a": ("19-9-18", "22-12-20", "27-1-19"),
    "b": ("14-9-18", "15-11-20", "16-2-18", "28-9-20"),
    "c": ("12-12-20", "14-11-18", "17-7-16", "18-5-19", "30-8-18"),
}
PART = {day: part for part, days in DAYS.items() for day in days}
WANTED = (Path(__file__).parent / "patches.txt").read_text().split()


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every TIFF in a zip or tar archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield from ((Path(name).stem, zipped.read(name)) for name in zipped.namelist() if name.endswith(".tif"))
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            content = tarred.extractfile(member) if member.name.endswith(".tif") else None
            if content is not None:
                with closing(content):
                    yield Path(member.name).stem, content.read()


def unpack(archive: Path, folder: Path) -> int:
    """Write images as they are and labels as uint8, in which ids are counted; return how many patches are complete."""
    count = 0
    for stem, content in files(archive):
        name, labels = stem.removesuffix("_cl"), stem.endswith("_cl")
        if name not in WANTED:
            continue
        target = folder / PART[name.split("_")[1]] / ("labels" if labels else "images") / f"{name}.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not labels:
            target.write_bytes(content)
            continue
        with rasterio.MemoryFile(content) as held, held.open() as source:
            profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "compress": "deflate"}
            place = {"width": source.width, "height": source.height, "crs": source.crs, "transform": source.transform}
            with rasterio.open(target, "w", **profile, **place) as written:
                written.write(source.read(1).astype("uint8"), 1)
        count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{unpack(Path(sys.argv[1]), Path(sys.argv[2]))} of {len(WANTED)} patches in {sys.argv[2]}")
