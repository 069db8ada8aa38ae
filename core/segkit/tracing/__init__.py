"""From objects to skeletons and surfaces: traces, their measurements, and the files they are exchanged in."""

from __future__ import annotations

from segkit.tracing._editing import Piece, cut, edge_to_root, join
from segkit.tracing._edits import EDITS, Edit, EditLog, nearest_node, replay
from segkit.tracing._evaluation import TraceEvaluation, evaluate_traces, read_traces
from segkit.tracing._forest import spanning_forest
from segkit.tracing._many import Traces, trace
from segkit.tracing._mended import apply_edits
from segkit.tracing._mesh_files import write_object_mesh
from segkit.tracing._precomputed import is_precomputed, read_precomputed, write_precomputed
from segkit.tracing._surface import mesh
from segkit.tracing._swc import read_swc, write_swc
from segkit.tracing._trace import Trace

__all__ = [
    "EDITS",
    "Edit",
    "EditLog",
    "Piece",
    "Trace",
    "TraceEvaluation",
    "Traces",
    "apply_edits",
    "cut",
    "edge_to_root",
    "evaluate_traces",
    "is_precomputed",
    "join",
    "mesh",
    "nearest_node",
    "read_precomputed",
    "read_swc",
    "read_traces",
    "replay",
    "spanning_forest",
    "trace",
    "write_object_mesh",
    "write_precomputed",
    "write_swc",
]
