"""The package's architecture: floors import downwards only, Ray stays in the top one, files stay short."""

import ast
from pathlib import Path

import facerecon_ray

PACKAGE = Path(facerecon_ray.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
FLOORS = (
    {"errors"},
    {"waiting", "whole_file"},
    {"config"},
    {"geometry"},
    {"networks", "storage"},
    {"stages", "synthesis", "report"},
    {"cluster"},
    {"jobs"},
    {"pipeline", "training", "evaluation", "in_process"},
    {"cli"},
    {"__init__", "__main__"},
)
RAY_PARTS = {"cluster", "jobs", "pipeline", "training", "evaluation"}
MAX_LINES = 350


def test_imports_point_to_lower_floors_only() -> None:
    floor_of = {part: height for height, parts in enumerate(FLOORS) for part in parts}
    upward = [
        f"{module.relative_to(PACKAGE)} imports {target}"
        for module in MODULES
        for target in _imports(module)
        if target.split(".")[0] == PACKAGE.name
        and _part_of(target) != _part(module)
        and floor_of[_part_of(target)] >= floor_of[_part(module)]
    ]
    assert upward == []


def test_every_part_of_the_package_has_its_floor() -> None:
    assert {_part(module) for module in MODULES} <= set().union(*FLOORS)


def test_ray_is_imported_only_on_the_pipeline_floor() -> None:
    users = {_part(module) for module in MODULES if any(name.split(".")[0] == "ray" for name in _imports(module))}
    assert users <= RAY_PARTS


def test_what_of_ray_is_not_public_is_imported_in_three_files() -> None:
    users = [str(module.relative_to(PACKAGE)) for module in MODULES if any(map(_is_private, _imports(module)))]
    assert users == ["cluster/ray_data_internals.py", "cluster/ray_internals.py", "cluster/ray_train_internals.py"]


def test_files_are_short_enough_to_read_in_one_go() -> None:
    lengths = {str(module.relative_to(PACKAGE)): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def _is_private(name: str) -> bool:
    first, *others = name.split(".")
    return first == "ray" and any(part.startswith("_") for part in others)


def _imports(module: Path) -> set[str]:
    """Dotted names of everything a file imports, at its top and inside functions."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _part(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").parts[0]


def _part_of(target: str) -> str:
    """Part of the package that a dotted name is in; names of the package itself are in its __init__."""
    part = target.split(".")[1] if "." in target else "__init__"
    return part if (PACKAGE / part).exists() or (PACKAGE / f"{part}.py").exists() else "__init__"
