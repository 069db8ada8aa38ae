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

    def add_gradients(self, network: nn.Module) -> None:
        """Make every gradient its sum over all processes, and every buffer that of the leading one.

        At the end of a step rather than during it, so that processes may call the network a different number of times.
        """
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        trained = [p for p in network.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        together = torch.cat([gradient.ravel() for gradient in gradients])
        dist.all_reduce(together)
        parts = torch.split(together, [gradient.numel() for gradient in gradients])
        for parameter, part in zip(trained, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)

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
