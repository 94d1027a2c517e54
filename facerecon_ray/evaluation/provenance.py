"""Where a result comes from: code, packages, weights, data, settings, machine."""

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from facerecon_ray.config.evaluation import EvaluateJob
from facerecon_ray.evaluation.models import KINDS, ModelSpec
from facerecon_ray.storage.software import machine, package_version, versions

PACKAGES = ("torch", "ray", "numpy", "dlib-bin", "open3d-cpu", "open3d", "anny", "pyrender2", "trimesh", "scipy")

COMMIT_VARIABLE = "FACERECON_GIT_COMMIT"
"""Images and wheels have no repository; a build writes the commit here."""


def git_commit() -> str | None:
    """Commit of the code, with "-dirty" when files differ from it; None where nobody knows."""
    if known := os.environ.get(COMMIT_VARIABLE):
        return known
    folder = Path(__file__).parent.parent
    try:
        inside = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(folder, "rev-parse", "HEAD") if inside is not None else None
        dirty = _git(folder, "status", "--porcelain", "--", ".") if commit else None
    except OSError:
        return None
    return f"{commit}-dirty" if commit and dirty else commit


def provenance(job: EvaluateJob, models: tuple[ModelSpec, ...], checksums: dict[str, str]) -> dict[str, Any]:
    """All of it, for the result's JSON; no secrets.

    Parameters
    ----------
    job : settings of the run
    models : that were compared
    checksums : of each data set
    """
    return {
        "git_commit": git_commit(),
        "facerecon_ray": package_version(),
        "packages": versions(PACKAGES),
        "models": [
            {
                "name": spec.name,
                "kind": spec.kind,
                "description": KINDS[spec.kind].description,
                "weights": str(spec.weights) if spec.weights else None,
                "sha256": spec.checksum or None,
            }
            for spec in models
        ],
        "data": checksums,
        "comparable": comparable_key(job, checksums),
        "settings": job.model_dump(mode="json", exclude={"webhook": {"url"}}),
        "hardware": {
            **machine(),
            "cpu": _cpu_name(),
            "gpus": _gpus(),
        },
    }


def comparable_key(job: EvaluateJob, checksums: dict[str, str]) -> str:
    """Equal for runs whose figures may be compared: the same data and the same protocol, whatever code and models."""
    told = {"protocol": job.protocol.model_dump(mode="json"), "data": checksums}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _git(folder: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
