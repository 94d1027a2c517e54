"""A Ray cluster: its nodes, who finds room on them, and what of Ray is not public.

Ray reads these variables while it is imported, so they are set before any module imports it.
"""

import os

from facerecon_ray.cluster.tokens import send_token

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_DATA_LOG_LEVEL", "CRITICAL")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
send_token()
