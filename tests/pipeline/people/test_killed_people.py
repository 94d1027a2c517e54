import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from facerecon_ray.config.people import PeopleJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.pipeline.people import job
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.people import PeopleOutput

NAMES = ("ann1", "ann2", "bob1", "bob2", "both")
DRIVER = """
import sys
from facerecon_ray.config.people import PeopleJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.pipeline.people import job
job.BUCKET_PEOPLE = 1
names = dict(zip(("input", "groups", "output"), sys.argv[1:]))
job.run_people(load_job(PeopleJob, None, names), lambda *_: None)
"""


def kill(driver: psutil.Popen) -> None:
    """End a driver and everything that it has started, by SIGKILL."""
    family = [*driver.children(recursive=True), driver]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


def contents(people: Path) -> dict[str, bytes]:
    """What is in an output of people, but for the times in its record and the lock."""
    files = (path for path in people.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(people)): path.read_bytes() for path in files if path.name != "people.json"}


@pytest.mark.slow
def test_people_that_were_killed_half_way_end_as_if_nothing_had_happened(
    ray_cluster: None,
    write_collection: Callable[..., OutputFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(people: Path) -> None:
        names = {"input": str(out), "groups": str(groups), "output": str(people)}
        job.run_people(load_job(PeopleJob, None, names), lambda *_: None)

    monkeypatch.setattr(job, "BUCKET_PEOPLE", 1)
    out = Path(write_collection(tmp_path / "out").uri)
    groups = tmp_path / "groups.csv"
    groups.write_text("photo,person\n" + "".join(f"/photos/{name}.jpg,{name}\n" for name in NAMES))
    whole, killed = tmp_path / "whole" / "people", tmp_path / "killed" / "people"
    run(whole)
    driver = psutil.Popen([sys.executable, "-c", DRIVER, str(out), str(groups), str(killed)])
    while not list((killed / "people").glob("part-*.parquet")):
        assert driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE
        time.sleep(0.002)
    kill(driver)
    assert (killed / "identities.parquet").exists() and not (killed / "people.parquet").exists()
    done = PeopleOutput(OutputFolder(killed)).people()["mesh_uri"].to_pylist()
    assert 0 < len(done) < len(NAMES)
    written = {name: (killed / name).stat().st_mtime_ns for name in done}
    run(killed)
    people = PeopleOutput(OutputFolder(whole)).people()
    assert PeopleOutput(OutputFolder(killed)).people().equals(people) and len(people) == len(NAMES)
    assert contents(killed) == contents(whole)
    assert {name: (killed / name).stat().st_mtime_ns for name in done} == written, "what was done was done again"
