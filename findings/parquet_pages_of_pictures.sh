#!/usr/bin/env bash
# Parquet pages of large binary values, such as pictures, are not bounded by data_page_size.
#
# Version    pyarrow 26.0.1
# Guess      with the default data_page_size of 1 MiB, 1,000 values of 50,000 bytes are some fifty pages, and the first
#            row is had for one or two of them.
# Behaviour  the size is looked at only after every write_batch_size values, 1,024 by default. All values of the row
#            group are one page, and who reads one row reads all of them. With write_batch_size=16 the size holds.
# Output     1,024 values at a time: 50.0 MB read for the first row, of a file of 50.0 MB
#            16 values at a time: 1.6 MB read for the first row, of a file of 50.0 MB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'EOF'
import io
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq


class Counting(io.FileIO):
    total = 0

    def read(self, size=-1):
        data = super().read(size)
        self.total += len(data)
        return data


def read_for_first_row(batch):
    path = f"{sys.argv[1]}/{batch}.parquet"
    values = pa.array([os.urandom(50_000) for _ in range(1000)])
    pq.write_table(pa.table({"picture": values}), path, use_dictionary=False, write_batch_size=batch)
    file = Counting(path)
    rows = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 16)
    assert rows.num_row_groups == 1
    file.total = 0
    first = next(rows.iter_batches(batch_size=1))
    assert first["picture"][0] == values[0]
    print(f"{batch:,} values at a time: {file.total / 1e6:.1f} MB read for the first row,", end=" ")
    print(f"of a file of {os.path.getsize(path) / 1e6:.1f} MB")
    return file.total


whole, bounded = read_for_first_row(1024), read_for_first_row(16)
assert whole > 49e6 and bounded < 3e6, "this has changed"
EOF
