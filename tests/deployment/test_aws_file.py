"""The file for an AWS account that this machine has not: checked against Ray's schema and against the job."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from facerecon_ray.config.reconstruct import ReconstructJob

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster" / "aws.yaml").read_text())


def test_it_meets_rays_schema(config: dict[str, Any]):
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))
    kinds = config["available_node_types"]
    assert config["head_node_type"] in kinds
    assert config["max_workers"] == sum(kind["max_workers"] for kind in kinds.values())
    assert all(kind["min_workers"] == 0 for kind in kinds.values())


def test_the_nodes_have_what_the_job_asks_for(config: dict[str, Any]):
    tree = yaml.safe_load((ROOT / "cluster" / "kuberay" / "job-file.yaml").read_text())
    job = ReconstructJob.model_validate(
        {name: value for name, value in yaml.safe_load(tree["data"]["job.yaml"]).items() if name != "command"}
    )
    kinds = config["available_node_types"]
    for name, pool in (("rotation", job.pools.rotate), ("reconstruction", job.pools.reconstruct)):
        assert kinds[name]["labels"] == pool.labels
        assert kinds[name]["docker"]["worker_image"].endswith("-cuda")
