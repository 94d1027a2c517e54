#!/usr/bin/env bash
# ray.init(include_dashboard=False, log_to_driver=False) still starts the dashboard's server, its agent and the log
# monitor.
#
# Version    ray 2.60.0, with psutil 7.2.1 to look
# Guess      without a dashboard there is neither dashboard.py nor an agent of it, and without logs for the driver no log
#            monitor: beside the driver run gcs_server, raylet and the workers.
# Behaviour  dashboard.py runs all the same, without its web pages, and with it monitor.py, log_monitor.py, the dashboard
#            agent and the agent for runtime environments: five more Python processes on each start of a one-node
#            cluster, for a script that asks for none of what they do. On two cores they take longer than the driver.
# Output     agents: DashboardAgent RuntimeEnvAgent
#            scripts: dashboard.py log_monitor.py monitor.py
#            servers: gcs_server raylet
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'ray[default]==2.60.0' psutil==7.2.1
cat > "$folder/look.py" <<'PY'
import os
import re
import time

import psutil
import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


@ray.remote
def work() -> int:
    return os.getpid()


ray.get(work.remote())
time.sleep(5)  # agents rename themselves once they run
lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
agents = sorted({name for line in lines for name in re.findall(r"^ray::(\w+Agent)", line)})
scripts = sorted({name for line in lines for name in re.findall(r"/((?:dashboard|log_monitor|monitor)\.py) --", line)})
servers = sorted({name for line in lines for name in re.findall(r"/(gcs_server|raylet) --", line)})
print("agents:", *agents)
print("scripts:", *scripts)
print("servers:", *servers)
PY
found=$(cd "$folder" && HOME=$folder "$folder/venv/bin/python" look.py 2> "$folder/errors" | grep -v '^$') || {
    cat "$folder/errors"
    exit 1
}
echo "$found"
diff <(printf '%s\n' 'agents: DashboardAgent RuntimeEnvAgent' 'scripts: dashboard.py log_monitor.py monitor.py' 'servers: gcs_server raylet') <(echo "$found")
