"""What stages cost on this GPU, as facerecon_ray/assets/stage_costs.yaml takes it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from facerecon_ray.config.reconstruct import ChainSettings
from facerecon_ray.stages.chain import CROP, FIT, RECONSTRUCT, ROTATE, ChainPart, ChainStage
from facerecon_ray.stages.stage import Batch
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

    def add(stage: ChainStage, batch: Batch, **settings: str) -> None:
        chosen = ChainSettings.model_validate({stage.name: {"device": device, **settings}})
        stages[stage.cost(chosen)] = partial(ChainPart(chosen, stage, stage, model=inputs.model), batch)

    for detector in ("cascade", "mmod"):
        add(CROP, photos, detector=detector)
    add(FIT, faces)
    add(ROTATE, rotated)
    for method in ("two-view", "prnet"):
        add(RECONSTRUCT, rotated, method=method)
    return stages
