"""What made a result: versions of packages, and the machine."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGE = "facerecon-ray"


def package_version() -> str:
    """Version of this package."""
    return _installed(PACKAGE)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of Python and of each package, "not installed" for those that are not."""
    return {"python": platform.python_version(), **{name: _installed(name) for name in packages}}


def machine() -> dict[str, Any]:
    """Number of CPUs, their kind, and the operating system."""
    return {"cpus": os.cpu_count(), "machine": platform.machine(), "system": platform.system()}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
