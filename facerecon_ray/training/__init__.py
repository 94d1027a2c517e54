"""Training on Ray Train."""

import facerecon_ray.cluster  # noqa: F401 - sets what Ray reads while it is imported
