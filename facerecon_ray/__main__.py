"""`python -m facerecon_ray` is the same as `facerecon`."""

from facerecon_ray.cli import start

start()
