"""From objects to skeletons: traces, their measurements, and SWC files."""

from __future__ import annotations

from segkit.tracing._many import Traces, trace
from segkit.tracing._swc import read_swc, write_swc
from segkit.tracing._trace import Trace

__all__ = ["Trace", "Traces", "read_swc", "trace", "write_swc"]
