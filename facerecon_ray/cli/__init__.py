"""The command line: one module for each command. Heavy modules are imported by the command that needs them, so that
--help is instant.
"""

from facerecon_ray.cli import model, reconstruct
from facerecon_ray.cli.app import main

__all__ = ["main", "model", "reconstruct"]
