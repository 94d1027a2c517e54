"""Batches as they come from the stream to tensors as networks take them."""

import numpy as np
import torch
from torch import Tensor


def on_device(batch: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Columns as tensors: pictures and maps with their channels first, numbers as float32."""
    tensors = {}
    for name, values in batch.items():
        if values.dtype == object:
            values = np.stack(list(values))
        # A copy: Ray's arrays cannot be written, which tensors expect.
        tensor = torch.from_numpy(np.array(values)).to(device, non_blocking=True)
        if tensor.ndim == 4 and tensor.shape[-1] <= 3:
            tensor = tensor.permute(0, 3, 1, 2)
        elif tensor.ndim == 3 and tensor.dtype == torch.uint8:
            tensor = tensor[:, None]
        keep = tensor.dtype in (torch.uint8, torch.float16)
        tensors[name] = tensor if keep else tensor.float()
    return tensors
