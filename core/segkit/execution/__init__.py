"""One way to do the same work on many blocks or objects: on threads of this process, or on a dask cluster.

    for index, result in run(task, range(1000), cluster="local:4"):
        ...  # a result, or a Failure with its reason

segkit has no scheduler of its own; on a cluster `dask.distributed` does the work.
"""

from __future__ import annotations

from segkit.execution._connection import Cluster, connected
from segkit.execution._failure import Failure
from segkit.execution._run import run
from segkit.execution._spec import ClusterSpec

__all__ = ["Cluster", "ClusterSpec", "Failure", "connected", "run"]
