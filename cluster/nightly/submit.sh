#!/bin/sh
# The nightly evaluation on a cluster that runs, by `ray job submit`: for a cron line, or for a scheduler that waits.
#
#     RAY_API_SERVER_ADDRESS=http://HEAD:8265 cluster/nightly/submit.sh s3://BUCKET/evaluation
#
# It waits for the job; a failed gate makes the job, and with it this script, fail. The nodes need the package: use the
# images of docker/. A cluster takes an id only once, so a second run in one night is refused.
set -eu
store=${1:?give the folder or s3://BUCKET/PREFIX for the results}
night=$(date -u +%F)
exec ray job submit --submission-id "evaluate-$night" --working-dir "$(dirname "$0")/../../jobs" -- \
  facerecon evaluate --config evaluate_nightly.yaml \
  --set gates=evaluation_gates.yaml --output "$store/$night" --history "$store/history"
