"""A Ray cluster: its nodes, who finds room on them, and what of Ray is not public.

Ray reads these variables while it is imported, so they are set before any module imports it. Ray Train wants a home.
"""

import os

from facerecon_ray.cluster.tokens import send_token
from facerecon_ray.config.home import lend_home

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_DATA_LOG_LEVEL", "CRITICAL")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
lend_home()
send_token()
