import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import facerecon_ray
from facerecon_ray.config.reconstruct import ChainSettings, PoolsSettings
from facerecon_ray.stages.chain import CHAIN, CROP, FIT, READ, RECONSTRUCT, ROTATE, ChainPart, build_stage, needed
from facerecon_ray.storage.schema import TIMED_STAGES, WRITE, time_column

NAMES = [stage.name for stage in CHAIN]
PACKAGE = Path(facerecon_ray.__file__).parent
ARCHITECTURE = PACKAGE.parent / "docs" / "architecture.md"
ON_CPU = {stage.name: {"device": "cpu"} for stage in (CROP, FIT, ROTATE, RECONSTRUCT)}
SPELLED = {
    "stages/chain.py",
    "config/reconstruct.py",  # sections of settings
    "cli/__init__.py",  # commands, of which two are called as stages are
}
JOBS: dict[str, dict[str, object]] = {
    "usual": {},
    "people": {"people": {"enabled": True}},
    "pairs": {"pairs": True, "people": {"enabled": True}},
    "rows": {"export": {"previews": False, "meshes": False}},
    "two-view": {"reconstruct": {"method": "two-view", "device": "cpu"}, "export": {"previews": False}},
    "pairs by two-view": {"pairs": True, "reconstruct": {"method": "two-view", "device": "cpu"}},
    "prnet": {"reconstruct": {"method": "prnet", "device": "cpu"}},
}


@pytest.fixture(params=JOBS.values(), ids=JOBS.keys())
def settings(request: pytest.FixtureRequest) -> ChainSettings:
    return ChainSettings.model_validate({**ON_CPU, **request.param})


def test_each_stage_is_given_what_it_reads(settings: ChainSettings) -> None:
    there = {"photo_uri", "side_photo_uri"} if settings.pairs else {"photo_uri"}
    for stage in needed(settings):
        assert stage.reads(settings) <= there, stage.name
        there |= stage.gives(settings, frozenset())


def test_stages_give_the_columns_that_the_chain_declares(settings: ChainSettings) -> None:
    for stage in needed(settings)[1:]:
        people = stage is FIT and settings.people.enabled
        method = settings.reconstruct.method if stage is RECONSTRUCT else "fitted"
        found = outputs(stage.name, settings.pairs, people, method)
        assert found == stage.gives(settings, frozenset()), stage.name


@cache
def outputs(name: str, pairs: bool, people: bool, method: str) -> set[str]:
    """Columns that a stage says it gives once it is built."""
    told = {"pairs": pairs, "people": {"enabled": people}, "reconstruct": {"method": method, "device": "cpu"}}
    built = build_stage(name, ChainSettings.model_validate({**ON_CPU, **told}))
    return set(built.outputs)  # type: ignore[attr-defined]


def test_what_is_read_are_the_declared_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    given = ChainPart(ChainSettings(), READ, READ)({"photo_uri": np.array([str(tmp_path / "a.jpg")], object)})
    declared = READ.reads(ChainSettings()) | READ.gives(ChainSettings(), frozenset())
    assert given.keys() == {*declared, "status", "error", time_column(READ.name)}


@pytest.mark.parametrize(
    ("job", "asked", "turns"),
    [
        ("usual", "", True),
        ("rows", "", False),
        ("rows", "rotated", True),
        ("two-view", "", True),
        ("pairs", "", False),
    ],
)
def test_a_stage_whose_columns_nobody_wants_does_not_run(job: str, asked: str, turns: bool) -> None:
    chosen = needed(ChainSettings.model_validate(JOBS[job]), frozenset({asked}))
    assert chosen == [stage for stage in CHAIN if stage != ROTATE or turns]


def test_masks_are_made_for_who_asks_for_them() -> None:
    settings = ChainSettings.model_validate(ON_CPU)
    assert not ChainPart(settings, FIT, ROTATE).outputs.keys() & {"rotated_seen", "rotated_head"}
    assert ChainPart(settings, FIT, ROTATE, ("rotated_head",)).outputs.keys() >= {"rotated_seen", "rotated_head"}


def test_every_stage_has_its_settings_its_pool_and_its_time_in_the_manifest() -> None:
    assert list(PoolsSettings.model_fields) == NAMES
    assert ChainSettings.model_fields.keys() >= set(NAMES)
    assert (*NAMES, WRITE) == TIMED_STAGES


def test_the_chain_is_known_without_torch() -> None:
    script = "import sys; from facerecon_ray.stages import chain; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_no_other_module_spells_the_stages() -> None:
    spelled = {str(path.relative_to(PACKAGE)): list(_spelled(path)) for path in PACKAGE.rglob("*.py")}
    assert {module: lines for module, lines in spelled.items() if lines and module not in SPELLED} == {}


def _spelled(module: Path) -> Iterator[str]:
    """Lists, sets and mappings of several stages, comparisons with the name of one, names of classes and of times."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts = [*node.elts]
        elif isinstance(node, ast.Dict):
            parts = [*node.keys]
        # Faces are cut out by one stage, and their pictures are the column crop: alone it is no stage.
        texts = {part.value for part in parts if isinstance(part, ast.Constant)}
        if len(texts & set(NAMES)) > 1:
            yield f"line {node.lineno}: {sorted(texts & set(NAMES))}"
        if isinstance(node, ast.Compare) and _is_name(node.left) and _constants(*node.comparators) & set(NAMES):
            yield f"line {node.lineno}: compares a name with that of a stage"
        if isinstance(node, ast.AnnAssign) and _is_name(node.target) and _constants(node.value) & set(NAMES):
            yield f"line {node.lineno}: names a stage"
        if isinstance(node, ast.Constant) and node.value in map(time_column, NAMES):
            yield f"line {node.lineno}: {node.value}"


def _is_name(node: ast.expr) -> bool:
    return "name" in (getattr(node, "attr", ""), getattr(node, "id", ""))


def _constants(*nodes: ast.expr | None) -> set[object]:
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def test_the_architecture_page_shows_the_chain() -> None:
    page = ARCHITECTURE.read_text("utf-8")
    assert _drawing() in page
    assert _table() in page


def _drawing() -> str:
    links = " --> ".join(["photo", *NAMES, WRITE])
    return f"```mermaid\nflowchart LR\n    {links}\n```"


def _table() -> str:
    """The stages of a usual job, and what each reads and gives there."""
    settings = ChainSettings()
    lines = ["| stage | does | a row is a | runs on | reads | gives |", "| --- | --- | --- | --- | --- | --- |"]
    for stage in CHAIN:
        where = f"`{stage.name}.device`" if stage.device(settings) != "cpu" else "CPU"
        columns = (stage.reads(settings), stage.gives(settings, frozenset()))
        cells = [stage.name, stage.does, stage.row, where, *(", ".join(sorted(names)) for names in columns)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
