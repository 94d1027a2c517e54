#!/usr/bin/env bash
# A Ray worker that reserves no GPU sees all of the node's GPUs.
#
# Version    ray 2.60.0
# Guess      num_gpus=0 leaves a worker an empty CUDA_VISIBLE_DEVICES, as num_gpus=1 leaves it one id: what Ray accounts
#            for is what a process can use.
# Behaviour  num_gpus=1 gets one id. num_gpus=0, also when it is written out, leaves the variable as the node has it, so
#            `torch.cuda.is_available()` is true there, and a pool of workers "without GPUs" computes on the GPUs that
#            others have reserved. No GPU is needed to see it: Ray believes the number that it is told.
# Output     reserved 1: 0
#            reserved 0: 0,1
#            reserved nothing: 0,1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cat > "$folder/look.py" <<'PY'
import os

import ray

ray.init(num_cpus=1, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def seen() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "unset")


print("reserved 1:", ray.get(ray.remote(num_gpus=1)(seen).remote()))
print("reserved 0:", ray.get(ray.remote(num_gpus=0)(seen).remote()))
print("reserved nothing:", ray.get(ray.remote(seen).remote()))
PY
found=$(cd "$folder" && HOME=$folder CUDA_VISIBLE_DEVICES=0,1 "$folder/venv/bin/python" look.py 2> "$folder/errors") || {
    cat "$folder/errors"
    exit 1
}
echo "$found"
diff <(printf 'reserved 1: 0\nreserved 0: 0,1\nreserved nothing: 0,1\n') <(echo "$found")
