"""The jobs on Ray."""

import facerecon_ray.cluster  # noqa: F401 - sets what Ray reads while it is imported
