"""What the package does on one GPU, in a quarter of an hour: is it correct, how fast is it, and what can it learn.

    python benchmarks/gpu_check.py --output gpu                              # all phases, 840 seconds
    python benchmarks/gpu_check.py --output gpu --train fitter --train detector --init FITTER.safetensors
    python benchmarks/gpu_check.py --device cpu --seconds 60                 # rehearsal without a GPU

It needs PyTorch with CUDA and this source tree; neither Ray nor a network. A machine for PyTorch may lack pydantic
(with pydantic-core, annotated-types, typing-extensions, typing-inspection), dlib-bin, trimesh, pi-heif, tifffile,
safetensors, scipy, opencv-python-headless, pillow, pyarrow, pyyaml or networkx, and it lacks dlib's model files and
the package anny. What is missing travels in a folder, made where this package is installed:

    python benchmarks/gpu_check.py --pack carried         # dlib's two model files, dressed heads, wheels.txt
    pip download --no-deps --only-binary=:all: --python-version 3.12 -d carried/wheels -r carried/wheels.txt

    # there, in the source tree:
    python -m pip install --no-index --no-deps --target carried/site carried/wheels/*.whl
    PYTHONPATH=.:carried:carried/site python benchmarks/gpu_check.py --carried carried --output gpu

Results come as they are found: results.jsonl, a line each, and summary.txt. The exit status is 0 where every path is
within its tolerance and nothing broke. docs/gpu.md says what each phase measures.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from gpu import correct, end_to_end, fast, train
from gpu.inputs import PACKED_PEOPLE, Inputs, pack, prepare
from gpu.machine import Machine
from gpu.report import Clock, Report, Step, run_phase
from gpu.workers import work

SHARES = {"inputs": 0.05, "correct": 0.15, "fast": 0.3, "end to end": 0.15, "train": 0.35}
"""Of the time, by phase; what a phase does not use is the next ones'."""

Phase = Callable[[Clock], Iterator[Step]]

QUICK_SECONDS = 240.0
"""A run of less is a rehearsal: small batches, few repetitions."""


def main() -> None:
    """Run the phases."""
    arguments = _arguments()
    torch.manual_seed(0)
    if arguments.device == "cpu" or arguments.pack is not None:
        # Its cores are shared with others, and threads that wait for each other cost more than they save.
        torch.set_num_threads(1)
    if arguments.pack is not None:
        pack(arguments.pack, arguments.people)
        return
    machine = Machine(torch.device(arguments.device), arguments.seconds < QUICK_SECONDS)
    if arguments.worker is not None:
        work(arguments.worker, machine, arguments.seconds, arguments.carried)
        return
    if machine.on_gpu and not torch.cuda.is_available():
        raise SystemExit(f"device {arguments.device}: PyTorch {torch.__version__} sees no GPU; --device cpu rehearses")
    begin = train.beginnings(arguments.train or ["fitter"], arguments.init)
    report = Report(arguments.output)
    inputs = Inputs(arguments.carried, machine.quick)
    report.result("machine", machine.gpu_type, device=arguments.device, torch=torch.__version__, quick=machine.quick)
    phases: dict[str, Phase] = {
        "inputs": partial(prepare, report, inputs),
        "correct": partial(correct.steps, report, machine, inputs),
        "fast": partial(fast.steps, report, machine, inputs),
        "end to end": partial(end_to_end.steps, report, machine, inputs),
        "train": partial(train.steps, report, machine, inputs, begin),
    }
    chosen = ["inputs", *arguments.only] if arguments.only else list(phases)
    run_all(report, phases, chosen, arguments.seconds)
    raise SystemExit(report.close())


def run_all(report: Report, phases: dict[str, Phase], chosen: list[str], seconds: float) -> None:
    """Run the chosen phases, each for its share of what is left."""
    clock = Clock(seconds)
    for number, name in enumerate(chosen):
        to_come = sum(SHARES[later] for later in chosen[number:])
        run_phase(report, name, max(1.0, clock.left) * SHARES[name] / to_come, phases[name])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu for a rehearsal")
    parser.add_argument("--seconds", type=float, default=840.0, help="that all phases together may take")
    parser.add_argument("--output", type=Path, default=Path("gpu"), help="folder for results and trained weights")
    parser.add_argument("--carried", type=Path, help="folder that --pack made, where packages are missing")
    parser.add_argument("--only", action="append", choices=[*SHARES][1:], help="run this phase only; may be repeated")
    parser.add_argument(
        "--train",
        action="append",
        choices=train.PUPILS,
        help="what the last phase trains, the fitter without it; may be repeated, and the time is shared",
    )
    parser.add_argument(
        "--init",
        action="append",
        type=Path,
        default=[],
        help="weights to begin with, of a network that is trained; without them, those of the package",
    )
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="fill a folder that travels to a bare machine")
    parser.add_argument("--people", type=int, default=PACKED_PEOPLE, help="dressed heads in it")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
