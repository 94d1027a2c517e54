"""The jobs on Ray. Ray reads these variables while it is imported, so they are set before any module imports it."""

import os

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_DATA_LOG_LEVEL", "CRITICAL")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
