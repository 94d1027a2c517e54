#!/usr/bin/env bash
# ray.data.from_arrow sends every table that the driver holds to a task of its own, only to learn how many rows it has.
#
# Version    ray 2.60.0 with pyarrow 26.0.1
# Guess      the driver, which has the tables in its hands, knows their rows, bytes and schema; from_arrow puts them into
#            the object store and nothing runs before the dataset is consumed.
# Behaviour  from_arrow starts one remote task a table and waits for them all: a thousand small tables are a thousand
#            tasks, each wants a CPU of the cluster, and on a fresh one the first two worker processes are started for it
#            before the dataset's own. from_blocks makes the same dataset of the same tables and starts none: it works
#            the numbers out in the driver. Its docstring calls it "primarily used for testing".
# Output     from_arrow of 5 tables: 5 tasks get_table_block_metadata_schema
#            from_blocks of 5 tables: 0 tasks
#            equal rows: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'ray[data]==2.60.0' pyarrow==26.0.1
cat > "$folder/look.py" <<'PY'
import time

import pyarrow as pa
import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
tables = [pa.table({"number": [first, first + 1]}) for first in range(5)]


def names() -> list[str]:
    time.sleep(3)  # workers report what they ran once a second
    ran = [event["name"].rpartition(".")[2] for event in ray.timeline() if event["cat"].startswith("task::")]
    return [name for name in ran if name == "get_table_block_metadata_schema"]


blocks = ray.data.from_blocks(tables)
before = names()
arrow = ray.data.from_arrow(tables)
after = names()
print(f"from_arrow of 5 tables: {len(after) - len(before)} tasks {after[-1] if after else ''}")
print(f"from_blocks of 5 tables: {len(before)} tasks")
print("equal rows:", blocks.take_all() == arrow.take_all())
PY
found=$(cd "$folder" && HOME=$folder "$folder/venv/bin/python" look.py 2> "$folder/errors" | grep -v '^$') || {
    cat "$folder/errors"
    exit 1
}
echo "$found"
diff <(printf '%s\n' 'from_arrow of 5 tables: 5 tasks get_table_block_metadata_schema' 'from_blocks of 5 tables: 0 tasks' 'equal rows: True') <(echo "$found")
