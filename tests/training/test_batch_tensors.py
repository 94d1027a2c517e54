import numpy as np
import torch

from facerecon_ray.training.batch_tensors import on_device


def test_columns_become_tensors_with_their_channels_first() -> None:
    rows = {
        "crop": np.zeros((2, 8, 6, 3), np.uint8),
        "mask": np.ones((2, 8, 6), np.uint8),
        "map": np.zeros((2, 8, 8, 3), np.float16),
        "shape": np.zeros((2, 5), np.float64),
        "nested": np.full(2, None, object),
    }
    rows["nested"][:] = [np.zeros((4, 2), np.float32), np.ones((4, 2), np.float32)]
    tensors = on_device(rows, torch.device("cpu"))
    assert {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()} == {
        "crop": ((2, 3, 8, 6), torch.uint8),
        "mask": ((2, 1, 8, 6), torch.uint8),
        "map": ((2, 3, 8, 8), torch.float16),
        "shape": ((2, 5), torch.float32),
        "nested": ((2, 4, 2), torch.float32),
    }
