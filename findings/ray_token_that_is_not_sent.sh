#!/usr/bin/env bash
# After one `ray.init()`, every cluster of that user asks for a token; and RAY_AUTH_TOKEN alone does not send it.
#
# Version    ray[default] 2.60.0
# Guess      Authentication is off unless RAY_AUTH_MODE=token was set where the cluster was started; a client that has
#            RAY_AUTH_TOKEN in its environment is let in.
# Behaviour  A plain local `ray.init()` writes ~/.ray/auth_token. From then on a plain `ray start --head` of the same user
#            asks for that token. A client elsewhere with the right RAY_AUTH_TOKEN is refused as one without any, until
#            RAY_AUTH_MODE=token is set beside it.
# Output     (the last line is the version of the jobs API, which answers now)
#            after ray.init: auth_token
#            RAY_AUTH_TOKEN alone: AuthenticationError
#            with RAY_AUTH_MODE=token: 4
set -euo pipefail
folder=$(mktemp -d /tmp/rt-XXXX)
head=
cleanup() {
    [ -z "$head" ] || kill -TERM -- "-$head" 2> /dev/null || true
    sleep 3
    [ -z "$head" ] || kill -KILL -- "-$head" 2> /dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH RAY_ADDRESS
export RAY_USAGE_STATS_ENABLED=0
python3 -m venv "$folder/venv"
bin=$folder/venv/bin
"$bin/pip" install --quiet 'ray[default]==2.60.0'
mkdir "$folder/owner" "$folder/other"
free_port() { "$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

HOME=$folder/owner "$bin/python" -c 'import ray; ray.init(num_cpus=1, include_dashboard=False)' > "$folder/log" 2>&1
echo "after ray.init: $(ls "$folder/owner/.ray")" | tee "$folder/found"

dashboard=$(free_port)
HOME=$folder/owner setsid "$bin/ray" start --head --block --num-cpus=1 --port="$(free_port)" --dashboard-port="$dashboard" \
    --dashboard-host=127.0.0.1 --ray-client-server-port="$(free_port)" --temp-dir="$folder/ray" >> "$folder/log" 2>&1 &
head=$!
for _ in $(seq 60); do
    (exec 3<> "/dev/tcp/127.0.0.1/$dashboard") 2> /dev/null && break
    sleep 1
done
cat > "$folder/ask.py" <<'PY'
import sys

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

try:
    print(JobSubmissionClient(sys.argv[1]).get_version())
except AuthenticationError as error:
    print(type(error).__name__)
PY
ask() { "$bin/python" "$folder/ask.py" "http://127.0.0.1:$dashboard" 2>> "$folder/log"; }
export HOME=$folder/other RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(cat "$folder/owner/.ray/auth_token")
echo "RAY_AUTH_TOKEN alone: $(ask)" | tee -a "$folder/found"
export RAY_AUTH_MODE=token
echo "with RAY_AUTH_MODE=token: $(ask)" | tee -a "$folder/found"
diff - "$folder/found" <<'TXT'
after ray.init: auth_token
RAY_AUTH_TOKEN alone: AuthenticationError
with RAY_AUTH_MODE=token: 4
TXT
