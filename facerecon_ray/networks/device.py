"""Which device a model runs on."""

import torch

from facerecon_ray.errors import SettingsError


def resolve_device(name: str) -> torch.device:
    """Turn a `device` setting into a device: auto takes the GPU where there is one.

    Raises
    ------
    SettingsError
        when the name is no device, or a GPU that is not there
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"device {name!r}: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise SettingsError(f"device {name!r}: choose auto, cpu, cuda or cuda:N")
    available = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= available:
        raise SettingsError(
            f"device {name!r}: this process may use {available} CUDA devices; give its pool gpus, or try cpu or auto"
        )
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware itself multiplies bfloat16, which is twice as fast as float32 there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
