"""The machine that is checked: its device, how numbers are rounded on it, and how long things take."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from unittest import mock

import torch

Precision = Literal["float32", "shipped"]
"""float32: no rounding beyond it, also not to TF32; shipped: bfloat16 where the package itself chooses it."""

LEAST_RUNS, MOST_RUNS = 3, 50


@dataclass(frozen=True)
class Machine:
    """Where paths run.

    device  the one that is checked
    quick   a rehearsal: small batches, few repetitions
    """

    device: torch.device
    quick: bool

    @property
    def on_gpu(self) -> bool:
        """Whether CUDA's own things can be measured."""
        return self.device.type == "cuda"

    @property
    def gpu_type(self) -> str:
        """Of the GPU, as Ray names it: H200 for "NVIDIA H200", A100 for "NVIDIA A100-SXM4-80GB"."""
        if not self.on_gpu:
            return "none"
        words = torch.cuda.get_device_name(self.device).replace("-", " ").split()
        return words[1] if len(words) > 1 else words[0]

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def milliseconds(self, run: Callable[[], Any], seconds: float) -> float:
        """Median time of one run, warm-up left out, in at most about so many seconds."""
        run()
        self.wait()
        times: list[float] = []
        end = time.perf_counter() + seconds
        least = 1 if self.quick else LEAST_RUNS
        while len(times) < least or (time.perf_counter() < end and len(times) < MOST_RUNS):
            start = time.perf_counter()
            run()
            self.wait()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)

    def gpu_milliseconds(self, run: Callable[[], Any]) -> float:
        """The GPU's own time for one run: its kernels' and copies' durations, added up."""
        with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
            run()
            self.wait()
        return sum(event.self_device_time_total for event in profile.key_averages()) / 1000

    @contextmanager
    def memory(self) -> Iterator[Callable[[], float | None]]:
        """What gives the most memory in MB that tensors took meanwhile, None without a GPU."""
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        yield lambda: torch.cuda.max_memory_allocated(self.device) / 2**20 if self.on_gpu else None


@contextmanager
def precision(wanted: Precision) -> Iterator[None]:
    """How the package rounds while its models are made and run."""
    if wanted == "shipped":
        yield
        return
    choosing = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("facerecon_ray.") and hasattr(module, "multiplies_bfloat16")
    ]
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with ExitStack() as patches:
        for module in choosing:
            patches.enter_context(mock.patch.object(module, "multiplies_bfloat16", lambda device: False))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution
