"""The nightly job end to end: real pictures, a real cluster, a history, a gate that passes and one that fails."""

import io
import json
from functools import partialmethod
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from ray.exceptions import RuntimeEnvSetupError
from scipy import io as matlab

from facerecon_ray.cluster import tasks
from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.tasks import TaskWatch
from facerecon_ray.config.evaluation import EvaluateJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.errors import AssetError, FaceReconError, InputError, OutputError, SettingsError
from facerecon_ray.evaluation.gates import load_gates
from facerecon_ray.evaluation.nightly import Outcome, check_requirements, evaluate
from facerecon_ray.evaluation.picture_crops import encode_png
from facerecon_ray.evaluation.provenance import provenance
from facerecon_ray.evaluation.rows import ROW_SCHEMA
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_pictures import Framing, pictures_of
from facerecon_ray.geometry import surface
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.run_lock import claimed

ROOT = Path(__file__).parents[2]
SMALL = {
    "data.subjects": 1,
    "data.first_subject": 3,
    "protocol.yaws": [0, 180],
    "protocol.pitches": [0],
    "outliers": 1,
    "work.device": "cpu",
}


def job(tmp_path: Path, **others: object) -> EvaluateJob:
    places = {"output": str(tmp_path / "out"), "history": str(tmp_path / "history")}
    return load_job(EvaluateJob, None, SMALL | places | others)


def write_gates(tmp_path: Path, *gates: dict[str, object]) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text(yaml.safe_dump({"gates": list(gates)}))
    return path


def test_two_evaluations_never_write_to_one_output(tmp_path: Path) -> None:
    with claimed(open_store(tmp_path / "out")), pytest.raises(OutputError, match="another run is writing"):
        evaluate(job(tmp_path))


def test_an_evaluation_for_which_lost_nodes_leave_no_room_ends(
    tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("anny", reason="embedded subjects need the package anny (the extra 'synthesis')")
    nodes = iter([parse_nodes(["2x4cpu"])])
    monkeypatch.setattr(tasks, "live_cluster", lambda: next(nodes, parse_nodes(["0cpu"])))
    monkeypatch.setattr(tasks, "QUIET_SECONDS", -1.0)
    monkeypatch.setattr(tasks, "_LOOK_SECONDS", 0.0)
    with pytest.raises(FaceReconError, match=r"no task of evaluate runs: no node has room .* start the same command"):
        evaluate(job(tmp_path))


def test_a_data_set_of_which_nothing_could_be_evaluated_is_named() -> None:
    counts = {"embedded": {"items": 4, "ok": 1}, "scans": {"items": 2, "ok": 0}}
    problems = [{"data": "scans", "reason": "no mesh in it"}]
    outcome = Outcome({"counts": counts, "problems": problems}, "report", (), None)
    assert outcome.fruitless == "scans: none of 2 could be evaluated (no mesh in it)"
    counts["scans"]["ok"] = 1
    assert outcome.fruitless is None


def test_what_is_missing_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(surface.LIBRARIES, "libnowhere.so.9", "libnowhere9")
    with pytest.raises(AssetError, match="apt-get install libnowhere9"):
        check_requirements(job(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        check_requirements(job(tmp_path, **{"data.scans": tmp_path / "missing"}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, dressed_head: Scan) -> tuple[Path, Path]:
    """Scans of which none can be used, and photos of which one can."""
    scans, photos = tmp_path_factory.mktemp("scans"), tmp_path_factory.mktemp("photos")
    (scans / "subject_03").mkdir()
    broken = scans / "subject_30" / "Model/frontal1/obj"
    broken.mkdir(parents=True)
    (broken / "scan.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    drawn, framing = pictures_of(dressed_head), Framing(Similarity.identity(), (0.0, 0.0, 0.0), 256)
    (photos / "image1.png").write_bytes(encode_png(drawn.draw(framing)))
    (photos / "image2.jpg").write_bytes(b"no photo")
    (photos / "image3.jpg").write_bytes(b"no annotation")
    points = drawn.project(dressed_head.correspondence, framing)  # type: ignore[arg-type]
    truth = {"pt3d_68": points[:: len(points) // 68][:68].T + 0.5, "Pose_Para": [[0.0, 0.0, 0.0]]}
    for name in ("image1", "image2"):
        matlab.savemat(photos / f"{name}.mat", truth)
    return scans, photos


@pytest.fixture(scope="module")
def outcome(
    ray_cluster: None, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, Path]:
    tmp_path = tmp_path_factory.mktemp("night")
    gates = write_gates(
        tmp_path,
        {"metric": "nme", "data": "embedded", "max": 0.05},
        {"metric": "share_reconstructed", "data": "embedded", "min": 0.99},
        {"metric": "nme", "data": "embedded", "no_worse_than": {"nights": 7, "percent": 5}},
    )
    scans, photos = folders
    data = {"data.scans": scans, "data.landmarks": photos, "photos_per_person": ["1", "2"]}
    return evaluate(job(tmp_path, gates=gates, **data)), tmp_path


def test_a_failing_gate_fails_the_night_and_a_passing_one_does_not(outcome: tuple[Outcome, Path]) -> None:
    found = {(result.gate.metric, result.figure.model, result.passed) for result in outcome[0].gates if result.figure}
    assert found == {
        (metric, model, metric == "nme")
        for metric in ("nme", "share_reconstructed")
        for model in ("fitted", "mean-face")
    }
    assert not outcome[0].passed


def test_bad_scans_and_photos_are_rows_with_reasons(outcome: tuple[Outcome, Path]) -> None:
    table = pq.read_table(io.BytesIO((outcome[1] / "out" / "rows.parquet").read_bytes()))
    assert table.schema.names == ROW_SCHEMA.names
    bad = {row["item"]: row["error"] for row in table.to_pylist() if row["status"] == "unusable"}
    assert set(bad) == {"subject_03", "subject_30", "image2.jpg", "image3.jpg"}
    assert "no mesh in" in bad["subject_03"]
    assert "too few to show a face" in bad["subject_30"]
    assert "not a JPEG" in bad["image2.jpg"]
    assert "image3.mat is missing" in bad["image3.jpg"]


def test_a_picture_without_a_face_counts_against_the_model(outcome: tuple[Outcome, Path]) -> None:
    figures = {
        figure["metric"]: figure["value"]
        for figure in outcome[0].summary["figures"]
        if (figure["data"], figure["model"], figure["group"]) == ("embedded", "fitted", "all")
    }
    assert figures["share_reconstructed"] == 0.5
    assert figures["nme_with_failures"] == pytest.approx((figures["nme"] + 0.10) / 2)
    assert outcome[0].summary["counts"]["embedded"] == {
        "items": 1, "unusable": 0, "pictures": 2, "reconstructions": 4, "ok": 2
    }  # fmt: skip


def test_pictures_of_a_head_are_merged_and_scored_in_rows_of_their_own(outcome: tuple[Outcome, Path]) -> None:
    rows = pq.read_table(io.BytesIO((outcome[1] / "out" / "many_photos.parquet").read_bytes())).to_pylist()
    assert [(row["photos"], row["within"], row["merged"], row["status"]) for row in rows] == [
        *((1, 0.0, 1, "ok"), (2, 180.0, 1, "ok"))
    ]
    figures = outcome[0].summary["many_photos"]
    assert {figure["metric"] for figure in figures} == {"nme", "mm", "nme_corresponding"} and len(figures) == 6
    assert "One face of several pictures" in (outcome[1] / "out" / "index.html").read_text()


def test_the_result_says_where_it_comes_from(outcome: tuple[Outcome, Path]) -> None:
    written = json.loads((outcome[1] / "out" / "evaluation.json").read_text())
    origin = written["provenance"]
    assert {"torch", "ray", "numpy"} <= set(origin["packages"])
    assert all(len(checksum) == 64 for checksum in origin["data"].values())
    assert set(origin["data"]) == {"embedded", "scans", "landmarks"}
    assert origin["settings"]["protocol"]["yaws"] == [0.0, 180.0]
    assert written["seconds"] > 0
    assert [model["name"] for model in origin["models"]] == ["fitted", "mean-face"]


def test_the_report_shows_an_outlier_and_needs_nothing_else(outcome: tuple[Outcome, Path]) -> None:
    page = (outcome[1] / "out" / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "gates failed" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "")


@pytest.mark.slow
def test_the_second_night_is_compared_with_the_first(
    ray_cluster: None, outcome: tuple[Outcome, Path], tmp_path: Path
) -> None:
    place = outcome[1]
    rule = {"metric": "nme", "no_worse_than": {"nights": 7, "percent": 1}}
    second = job(place, output=str(tmp_path), gates=write_gates(tmp_path, rule))
    assert evaluate(second).gates[0].note == "there is no earlier run"
    third = evaluate(second)
    assert third.passed
    assert all("the median of the last 1" in result.limit for result in third.gates)
    assert len({point["time"] for point in third.summary["trend"]}) == 2
    assert len(list((place / "history").iterdir())) == 3


def test_a_mistake_in_the_gates_is_found_before_the_work(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no metric"):
        evaluate(job(tmp_path, gates=write_gates(tmp_path, {"metric": "speed", "max": 1})))


def test_a_host_on_which_no_task_runs_ends_the_evaluation_and_makes_no_scan_unusable(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"conda": "no-such-environment"}
    monkeypatch.setattr(TaskWatch, "remote", partialmethod(TaskWatch.remote, runtime_env=nowhere))
    with pytest.raises(RuntimeEnvSetupError):
        evaluate(job(tmp_path))


def test_nothing_to_evaluate_is_an_error(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate(job(tmp_path, **{"data.subjects": 0}))


def test_the_webhooks_address_is_in_no_result(tmp_path: Path) -> None:
    secret = job(tmp_path, **{"webhook.url": "https://hooks.example.com/T0/secret"})
    assert "secret" not in json.dumps(provenance(secret, (), {}))


def test_the_job_files_that_come_with_the_package_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = load_job(EvaluateJob, Path("jobs/evaluate_nightly.yaml"), {})
    assert settings.gates is not None
    assert len(load_gates(settings.gates)) == 7
