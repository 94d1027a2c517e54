"""What stages cost on this GPU, as facerecon_ray/assets/stage_costs.yaml takes it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings, ReconstructSettings, RotateSettings
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.rotate import Rotator
from gpu.inputs import Inputs
from gpu.machine import Machine


class Cost(NamedTuple):
    """What a stage takes.

    gpu, host  milliseconds a photo: the GPU's own, and what the worker takes beside it
    memory     MB of the GPU that tensors took at most, None without a GPU
    """

    gpu: float
    host: float
    memory: float | None = None


def stage_costs(machine: Machine, inputs: Inputs, rows: int, seconds: float) -> dict[str, Cost]:
    """Costs by the names of stage_costs.yaml, of photos of 640 pixels with one face.

    A worker's time is its wall time, in which a thread waits while the GPU works: what is not the GPU's own time is
    the CPU thread's.

    Parameters
    ----------
    machine : whose GPU
    inputs : photos and faces
    rows : in a batch
    seconds : for each stage
    """
    costs = {}
    for name, run in _stages(machine, inputs, rows).items():
        with machine.memory() as memory:
            whole = machine.milliseconds(run, seconds) / rows
            most = memory()
        own = machine.gpu_milliseconds(run) / rows if machine.on_gpu else 0.0
        costs[name] = Cost(own, max(0.0, whole - own), most)
    return costs


def block(gpu_type: str, costs: Mapping[str, Cost]) -> str:
    """Lines to be pasted in place of `gpus: {}`, or below `gpus:`."""
    lines = [f"    {name}: {{gpu: {cost.gpu:.3g}, host: {cost.host:.3g}}}" for name, cost in costs.items()]
    return "\n".join(["gpus:", f"  {gpu_type}:", *lines])


def _stages(machine: Machine, inputs: Inputs, rows: int) -> dict[str, Callable[[], Any]]:
    device = str(machine.device)
    photos = inputs.read(rows)
    faces, rotated = (inputs.repeated(batch, rows) for batch in (inputs.faces, inputs.rotated))
    stages: dict[str, Callable[[], Any]] = {}
    for detector in ("cascade", "mmod"):
        settings = CropSettings.model_validate({"detector": detector, "device": device})
        stages[f"crop.{detector}"] = _bound(Cropper(settings, ReadSettings()), photos)
    stages["rotate"] = _bound(Rotator(RotateSettings(device=device), inputs.model), faces)
    for method in ("two-view", "prnet"):
        chosen = ReconstructSettings.model_validate({"method": method, "device": device})
        stages[f"reconstruct.{method}"] = _bound(Reconstructor(chosen), rotated)
    return stages


def _bound(stage: Callable[[Any], Any], batch: Any) -> Callable[[], Any]:
    return lambda: stage(batch)
