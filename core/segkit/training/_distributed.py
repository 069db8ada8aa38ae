"""Many processes training as one, started by ``torchrun``; a single process is a world of one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

__all__ = ["World"]


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together.

    Parameters
    ----------
    rank
        Number of this process; 0 leads: it alone writes and tells.
    size
        Number of processes.
    local_rank
        Number of this process on its machine, and of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def join(cls, device: str) -> World:
        """Join the others, if ``torchrun`` started this process."""
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_torchelastic_launched():
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with its gradients averaged over all processes."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        on_gpu = next(network.parameters()).is_cuda
        return DistributedDataParallel(network, device_ids=[self.local_rank] if on_gpu else None)

    def sum(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the sum of an array of float64 over all processes, which all must call this."""
        if self.size == 1:
            return values
        import torch
        import torch.distributed as dist

        tensor = torch.as_tensor(values, dtype=torch.float64)
        if dist.get_backend() == "nccl":
            tensor = tensor.cuda(self.local_rank)
        dist.all_reduce(tensor)
        return tensor.cpu().numpy()

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return bool(self.sum(np.array([float(flag)]))[0] > 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.sum(np.zeros(1))
