"""`facerecon synthesize`: training data, pairs of photos and rotated views of which the truth is known."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, EndpointOption, overrides_of

if TYPE_CHECKING:
    from facerecon_ray.config.synthesis import SynthesisJob
    from facerecon_ray.pipeline.synthesis.synthesis_preparation import PreparedSet
    from facerecon_ray.pipeline.synthesis.synthesize import MadeSet

EXAMPLES = """
[bold]Examples[/bold]

facerecon synthesize --subjects 32 --output sample --preview

facerecon synthesize --subjects 2000 --output pairs --seed 1

facerecon synthesize --subjects 100000 --output s3://bucket/pairs --config jobs/synthesize.yaml

facerecon synthesize --subjects 2000 --output pairs --photos portraits/

facerecon synthesize --profile portraits/ --output profiles

facerecon synthesize --300wlp 300W_LP --face-model BFM.mat --output imported

facerecon synthesize --subjects 500 --output pairs --set views.pitch=40 --set people.glasses_share=0.5

The same command again makes what is missing; more --subjects make the set larger. Look at OUTPUT/preview.png.
"""


@app.command(epilog=EXAMPLES)
def synthesize(
    subjects: Annotated[int | None, typer.Option(help="Synthetic subjects; eight views of each by default.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="A folder, or s3://BUCKET/PREFIX.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random choices.")] = None,
    photos: Annotated[str | None, typer.Option(help="Folder of near-frontal photos for skin textures.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Folder of near-frontal photos: turn them in place of synthetic subjects.")
    ] = None,
    facegen: Annotated[Path | None, typer.Option(help="Import a folder of FaceGen exports.")] = None,
    w300lp: Annotated[Path | None, typer.Option("--300wlp", help="Import a folder of 300W-LP.")] = None,
    face_model: Annotated[
        Path | None, typer.Option(help="For imports: the Basel Face Model (BFM.mat, BFM_UV.mat beside it, or .npz).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that make shards; one for each CPU by default.")
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only a contact sheet: of the set in OUTPUT, else of sample subjects.")
    ] = False,
    endpoint_url: EndpointOption = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete the set in the output first.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and written, and write nothing.")
    ] = False,
    address: AddressOption = None,
) -> None:
    """Make training data: subjects, their photos, rotated partners and true position maps, as Parquet shards."""
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.config.synthesis import SynthesisJob
    from facerecon_ray.pipeline.synthesis.synthesis_preparation import prepare_synthesis

    options = {
        "subjects": subjects,
        "output": output,
        "seed": seed,
        "photos": photos,
        "profile": profile,
        "pool.workers": workers,
        "s3.endpoint_url": endpoint_url,
        **_import_options(facegen, w300lp, face_model),
    }
    job = load_job(SynthesisJob, config, overrides_of(options, assignments))
    if preview:
        _preview(job)
        return
    prepared = prepare_synthesis(job, overwrite, lambda line: err.print(line, markup=False))
    _describe(prepared)
    if dry_run:
        out.print(f"Would write to {prepared.store.uri}; nothing was written.", markup=False)
    elif prepared.todo:
        _run(prepared, address)
    else:
        out.print(f"{prepared.store.uri} is complete: {prepared.card.rows} views; nothing to do", markup=False)
        _require_views(prepared)


def _require_views(prepared: "PreparedSet") -> None:
    from facerecon_ray.errors import InputError
    from facerecon_ray.storage.pairs.pair_shards import first_failure

    if prepared.card.fruitless:
        reason = first_failure(prepared.store)
        raise InputError(f"none of {prepared.card.rows} views could be made ({reason}); the rows say of each why not")


def _import_options(facegen: Path | None, w300lp: Path | None, face_model: Path | None) -> dict[str, Any]:
    from facerecon_ray.errors import SettingsError

    if facegen and w300lp:
        raise SettingsError("--facegen and --300wlp: import one at a time, each into an output of its own")
    if (facegen or w300lp) and face_model is None:
        raise SettingsError("imported meshes belong to the Basel Face Model: add --face-model BFM.mat")
    layout = "facegen" if facegen else "300wlp" if w300lp else None
    return {"imports.layout": layout, "imports.folder": facegen or w300lp, "imports.face_model": face_model}


def _describe(prepared: "PreparedSet") -> None:
    from facerecon_ray.pipeline.synthesis.synthesis_preparation import views_of_each

    shards = len(prepared.done) + len(prepared.todo)
    views = views_of_each(prepared.job)
    of_each = f", {views} views of each" if views else ""
    text = f"{prepared.subjects} subjects{of_each}, in {shards} shards"
    done = f"; {len(prepared.done)} shards are done, {len(prepared.todo)} to do" if prepared.done else ""
    err.print(text + done, markup=False)


def _preview(job: "SynthesisJob") -> None:
    from facerecon_ray.pipeline.synthesis.synthesis_preview import SUBJECTS, write_preview, write_samples
    from facerecon_ray.storage.objects import open_store
    from facerecon_ray.storage.pairs.dataset_card import load_card

    store = open_store(job.output, job.s3)
    card = load_card(store)
    if card is not None and card.shards:
        where = write_preview(store)
    else:
        count = min(job.subjects or SUBJECTS, SUBJECTS)
        err.print(f"Making {count} sample subjects", markup=False)
        where = write_samples(job, store, count)
    out.print(f"Wrote {where}", markup=False)


def _run(prepared: "PreparedSet", address: str | None) -> None:
    from facerecon_ray.pipeline.synthesis.synthesize import run_synthesis

    try:
        result = run_synthesis(prepared, err, address)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command makes what is missing in {prepared.store.uri}", markup=False)
        sys.exit(EXIT_STOPPED)
    _summarise(prepared, result)


def _summarise(prepared: "PreparedSet", result: "MadeSet") -> None:
    from rich.table import Table

    from facerecon_ray.pipeline.synthesis.synthesis_preview import write_preview

    card = result.card
    table = Table(show_header=False)
    table.add_row("subjects", f"{card.subjects}")
    table.add_row("views", f"{card.rows}")
    for status, rows in card.counts["status"].items():
        table.add_row(f"views {status}", f"{rows}")
    for split, rows in card.counts["split"].items():
        table.add_row(f"views for {split}", f"{rows}")
    table.add_row("MB", f"{card.bytes / 1e6:.1f}")
    if result.views_per_second:
        table.add_row("views a second", f"{result.views_per_second:g}")
    table.add_row("seconds", f"{result.run.seconds:.1f}")
    out.print(table)
    _require_views(prepared)
    out.print(f"Look at {write_preview(prepared.store)}", markup=False)
