"""The command line: one module for each command. Heavy modules are imported by the command that needs them, so that
--help is instant.
"""

from facerecon_ray.cli import (
    evaluate,
    export,
    forget,
    jobs,
    manifest,
    model,
    people,
    plan,
    reconstruct,
    synthesize,
    train,
)
from facerecon_ray.cli.app import main, start

__all__ = [
    "evaluate",
    "export",
    "forget",
    "jobs",
    "main",
    "manifest",
    "model",
    "people",
    "plan",
    "reconstruct",
    "start",
    "synthesize",
    "train",
]
