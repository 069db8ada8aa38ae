"""From objects to skeletons and surfaces: traces, their measurements, and the files they are exchanged in."""

from __future__ import annotations

from segkit.tracing._evaluation import TraceEvaluation, evaluate_traces, read_traces
from segkit.tracing._forest import spanning_forest
from segkit.tracing._many import Traces, trace
from segkit.tracing._precomputed import is_precomputed, read_precomputed, write_precomputed
from segkit.tracing._surface import mesh
from segkit.tracing._swc import read_swc, write_swc
from segkit.tracing._trace import Trace

__all__ = [
    "Trace",
    "TraceEvaluation",
    "Traces",
    "evaluate_traces",
    "is_precomputed",
    "mesh",
    "read_precomputed",
    "read_swc",
    "read_traces",
    "spanning_forest",
    "trace",
    "write_precomputed",
    "write_swc",
]
