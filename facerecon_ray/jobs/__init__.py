"""What every job does alike: it connects to Ray, says how far it is, and what an earlier run was told otherwise."""

import facerecon_ray.cluster  # noqa: F401 - sets what Ray reads while it is imported
