"""Phase `fast`: milliseconds and pictures a second by stage, batch size and precision, and what makes them fewer."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from facerecon_ray.geometry import rasterizer_torch
from facerecon_ray.geometry.rasterizer import kernels
from facerecon_ray.geometry.rasterizer_torch import NOTHING
from facerecon_ray.synthesis.batched.views import draw_views
from gpu.inputs import Inputs
from gpu.machine import Machine
from gpu.networks import Network, networks
from gpu.paths import Paths, photographer
from gpu.report import Clock, Report, Step
from gpu.stage_block import block, stage_costs
from gpu.workers import Chain, together

PHASE = "fast"
BATCHES, FEW_BATCHES = (1, 8, 64, 256), (1, 2)
TILES = ((16, 4, 4), (32, 4, 4), (8, 4, 4), (32, 2, 4), (8, 8, 8), (4, 8, 4))
"""Triangles, rows and columns that a program of the rasterizer draws at a time; the first are as shipped."""

PROFILED = 3
ROWS_PRINTED = 12
WORKER_BATCH = 64


def steps(report: Report, machine: Machine, inputs: Inputs, clock: Clock) -> Iterator[Step]:
    """What the aims ask for first, then what explains it."""
    fast = _Fast(report, machine, inputs, clock)
    batches = FEW_BATCHES if machine.quick else BATCHES
    for batch in batches[1:]:
        yield f"chain from crops, batch {batch}", partial(fast.chain, batch)
    yield "rendering", partial(fast.rendering, 2 if machine.quick else 256)
    yield "rasterizer", partial(fast.rasterizer, 2 if machine.quick else 256)
    yield "stage costs", fast.costs
    for network in networks(inputs.model, machine.quick):
        for batch in batches:
            yield f"{network.name}, batch {batch}", partial(fast.network, network, batch)
    for what, run in (("streams", fast.streams), ("two processes", fast.processes)):
        if machine.on_gpu:
            yield what, run
        else:
            report.skip(PHASE, what, "no CUDA device")
    yield f"profile of the slowest {PROFILED}", fast.profile


class _Fast:
    def __init__(self, report: Report, machine: Machine, inputs: Inputs, clock: Clock) -> None:
        self._report, self._machine, self._inputs, self._clock = report, machine, inputs, clock
        self._share = 0.01 if machine.quick else 0.02
        self._runs: dict[str, tuple[float, Callable[[], Any]]] = {}
        """Milliseconds a picture, and what takes them."""

    @property
    def _seconds(self) -> float:
        return max(0.05, self._share * self._clock.left)

    def chain(self, batch: int) -> None:
        """Decoded crops to position maps."""
        chain, faces = Chain(self._machine.device, self._inputs, export=False), self._inputs.faces
        rows = self._inputs.repeated(faces, batch)
        self._time(f"chain from crops, batch {batch}", lambda: chain.from_crops(rows), batch)

    def rendering(self, batch: int) -> None:
        """Training rows of 128 pixels; the views are drawn ahead, and how long that takes stands beside it."""
        make = photographer(self._inputs, self._machine.device, 128, ("crop", "pose", "landmarks_3d"))
        views = draw_views(self._inputs.job, batch, 0)
        drawing = self._machine.milliseconds(lambda: draw_views(self._inputs.job, batch, 1), 0.0)
        self._time(f"rendering, 128 pixels, batch {batch}", lambda: make(views), batch, views_ms=drawing)

    def rasterizer(self, batch: int) -> None:
        """Fitted heads at 256 pixels, in plain torch and by the kernels with tiles of some shapes."""
        device = self._machine.device
        points, triangles = (values.to(device) for values in Paths(self._inputs, batch).drawn_heads())

        def drawn(way: ModuleType) -> None:
            nearest = torch.full((batch, 256, 256), NOTHING, dtype=torch.int64, device=device)
            way.draw(nearest, points, triangles, True)
            way.resolve(nearest, points, triangles)

        self._time(f"rasterizer in plain torch, batch {batch}", lambda: drawn(rasterizer_torch), batch)
        by_kernels = kernels(device) if self._machine.on_gpu else None
        if by_kernels is None:
            self._report.skip(PHASE, f"rasterizer by kernels, batch {batch}", "Triton's kernels want a CUDA device")
            return
        for tile in TILES:
            shape: dict[str, Any] = dict(zip(("TRIANGLES", "ROWS", "COLUMNS"), tile, strict=True))
            with mock.patch.multiple(by_kernels, **shape):
                name = "rasterizer by kernels, tile " + " x ".join(map(str, tile))
                self._time(f"{name}, batch {batch}", lambda: drawn(by_kernels), batch)

    def costs(self) -> None:
        """The block for stage_costs.yaml."""
        machine = self._machine
        costs = stage_costs(machine, self._inputs, 2 if machine.quick else 32, self._seconds)
        for name, cost in costs.items():
            self._report.result(PHASE, f"stage {name}", gpu_ms=cost.gpu, host_ms=cost.host, memory_mb=cost.memory)
        if machine.on_gpu:
            self._report.text("\nfor facerecon_ray/assets/stage_costs.yaml:\n" + block(machine.gpu_type, costs))
        else:
            self._report.skip(PHASE, "block for stage_costs.yaml", "no CUDA device: there is nothing to paste")

    def network(self, network: Network, batch: int) -> None:
        """One network in all the ways that may be faster."""
        machine = self._machine
        module = network.build().to(machine.device)
        picture = torch.rand(batch, *network.shape, device=machine.device)
        last = picture.contiguous(memory_format=torch.channels_last)
        module_last = network.build().to(machine.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        bfloat16 = torch.autocast(machine.device.type, torch.bfloat16)
        ways: dict[str, tuple[Callable[..., Any], torch.Tensor, AbstractContextManager[Any]]] = {
            "float32": (module, picture, nullcontext()),
            "float32 channels_last": (module_last, last, nullcontext()),
            "bfloat16": (module, picture, bfloat16),
            "bfloat16 channels_last": (module_last, last, bfloat16),
        }
        for way, (run, pixels, context) in ways.items():
            self._time(f"{network.name} {way}, batch {batch}", _inferring(run, pixels, context), batch)
        for way, why in (("compiled", "mode max-autotune-no-cudagraphs"), ("CUDA graph", "of bfloat16 channels_last")):
            name = f"{network.name} {way}, batch {batch}"
            if not machine.on_gpu:
                self._report.skip(PHASE, name, f"no CUDA device ({why})")
            elif way == "CUDA graph":
                self._time(name, _graph(module_last, last), batch)
            elif batch == BATCHES[-2]:
                compiled = torch.compile(module_last, mode="max-autotune-no-cudagraphs")
                self._time(name, _inferring(compiled, last, bfloat16), batch)

    def streams(self) -> None:
        """Two batches on two streams of one process, against one after the other."""
        chain, rows = Chain(self._machine.device, self._inputs, export=False), WORKER_BATCH
        faces = self._inputs.repeated(self._inputs.faces, rows)
        lanes = [torch.cuda.Stream(self._machine.device) for _ in range(2)]

        def side_by_side() -> None:
            for lane in lanes:
                with torch.cuda.stream(lane):
                    chain.from_crops(faces)

        self._time("two batches, one stream", lambda: [chain.from_crops(faces) for _ in lanes], 2 * rows)
        self._time("two batches, two streams", side_by_side, 2 * rows)

    def processes(self) -> None:
        """One process and two on the same GPU, from photos."""
        for processes in (1, 2):
            seconds = max(3.0, 0.1 * self._clock.left)
            done = together(self._machine, processes, WORKER_BATCH, seconds, self._inputs.carried)
            faces = sum(one.faces / one.seconds for one in done)
            self._report.result(PHASE, f"{processes} processes on one GPU", faces_per_second=faces, batch=WORKER_BATCH)

    def profile(self) -> None:
        """Which kernels the slowest ones spend their time in."""
        by_cost = sorted(self._runs.items(), key=lambda item: -item[1][0])
        sort = "self_device_time_total" if self._machine.on_gpu else "self_cpu_time_total"
        for name, (_, run) in by_cost[:PROFILED]:
            with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
                run()
                self._machine.wait()
            self._report.result(PHASE, f"profile of {name}", operations=len(profile.key_averages()))
            self._report.text(profile.key_averages().table(sort_by=sort, row_limit=ROWS_PRINTED))

    def _time(self, name: str, run: Callable[[], Any], pictures: int, **more: Any) -> None:
        with self._machine.memory() as memory:
            milliseconds = self._machine.milliseconds(run, self._seconds)
            self._report.result(
                PHASE, name, ms=milliseconds, per_second=1000 * pictures / milliseconds, memory_mb=memory(), **more
            )
        kind = name.split(",")[0].split(" float")[0].split(" bfloat")[0]
        if kind not in self._runs or self._runs[kind][0] < milliseconds / pictures:
            self._runs[kind] = (milliseconds / pictures, run)


def _inferring(
    run: Callable[..., Any], pixels: torch.Tensor, context: AbstractContextManager[Any]
) -> Callable[[], None]:
    def infer() -> None:
        with torch.inference_mode(), context:
            run(pixels)

    return infer


def _graph(module: torch.nn.Module, pixels: torch.Tensor) -> Callable[[], None]:
    """Replays what a network does with a batch."""
    infer = _inferring(module, pixels, torch.autocast("cuda", torch.bfloat16, cache_enabled=False))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            infer()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        infer()
    return graph.replay
