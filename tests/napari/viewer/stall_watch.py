"""How long the GUI thread was busy at a stretch: a timer that should fire every 5 ms, and when it did."""

from __future__ import annotations

from time import perf_counter

from qtpy.QtCore import QTimer

__all__ = ["StallWatch"]

INTERVAL_MS = 5


class StallWatch:
    """Records the gaps between the ticks of a timer while the block runs.

    >>> with StallWatch() as watch:  # doctest: +SKIP
    ...     qtbot.wait(1000)
    >>> watch.longest < 0.2  # doctest: +SKIP

    Gaps are seconds of wall time, so that other processes lengthen them.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last = 0.0
        self._timer = QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tick)

    def __enter__(self) -> StallWatch:
        self._last = perf_counter()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()
        self._tick()

    def _tick(self) -> None:
        now = perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    @property
    def longest(self) -> float:
        """The longest gap in seconds."""
        return max(self.gaps, default=0.0)

    def quantile(self, share: float) -> float:
        """Return the gap that this share of all gaps is not longer than, in seconds."""
        ordered = sorted(self.gaps)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        return f"longest gap {self.longest * 1000:.0f} ms, 99 % up to {self.quantile(0.99) * 1000:.0f} ms"
