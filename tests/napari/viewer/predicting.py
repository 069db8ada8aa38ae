"""What the tests of the page Predict do again and again."""

from __future__ import annotations

from pathlib import Path

SECOND = 1000


def settled(page, qtbot) -> None:
    qtbot.waitUntil(lambda: page.estimator.estimate is not None or bool(page.estimator.problem), timeout=60 * SECOND)
    assert page.estimator.problem == ""


def choose(page, image: Path, block: tuple[int, int, int], qtbot) -> None:
    """Choose all of an image, in small blocks."""
    page.choice.image.add_place(str(image))
    page.choice.region.kind.setCurrentIndex(page.choice.region.kind.findData("whole"))
    page.choice.options.set_values({"block": block})
    page._tick()
    qtbot.waitUntil(lambda: page.choice.current_level is not None, timeout=10 * SECOND)
    page._tick()
    settled(page, qtbot)


def finished(page, qtbot, kind: str = "predict", seconds: int = 120) -> None:
    jobs = page.session.jobs
    qtbot.waitUntil(lambda: jobs.of(kind) is None and not jobs.active, timeout=seconds * SECOND)
