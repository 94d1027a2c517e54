"""A job on hosts whose disks are full ends with their names, at once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from isolated_cluster import IsolatedCluster
from isolated_hosts import WORKERS, why_not

REASON = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(REASON), reason=f"no namespaces: {REASON}"),
]

FILL = """
used=$(df -k --output=used /tmp | tail -1)
mount -o remount,size=$((used + 1024))k /tmp
dd if=/dev/zero of=/tmp/fill bs=1k count=2048 2>/dev/null || true
"""


def test_a_job_on_hosts_whose_disks_are_full_names_them_in_one_line(tmp_path: Path):
    cluster = IsolatedCluster(tmp_path / "network")
    try:
        cluster.data("photos", "2")
        for host in WORKERS:
            cluster.run(host, "sh", "-c", FILL)
        job = cluster.submit(
            "full", {"command": "reconstruct", "input": "s3://work/photos", "output": "s3://work/out"}
        )
        job.wait(400)
        log = cluster.log("full")
    finally:
        cluster.close()
    assert job.returncode == 1
    (line,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert all(f"host {host} has a full disk (that of /tmp/ray/" in line for host in WORKERS)
    # Either Ray says so, or all workers are waited for and the hosts looked at.
    assert line.endswith(("start the same command again", "the same command continues the run"))
    assert "Traceback" not in log
