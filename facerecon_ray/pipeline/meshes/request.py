"""What is asked of `facerecon export`, and how the job's meshes can be had."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from facerecon_ray.config.reconstruct import CropSettings, ExportSettings, ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.pipeline.model_files import check_face_model
from facerecon_ray.storage.row_filter import RowFilter
from facerecon_ray.storage.run_record import RunRecord


@dataclass(frozen=True)
class ExportRequest:
    """What is wanted.

    source      output of a job
    target      folder or s3://bucket/prefix for the meshes
    where       which rows; None: all faces
    format      None: the job's
    topology    None: the job's, or what the format has by default if that is another one
    face_model  the job's, if it was not the embedded one
    """

    source: str
    target: str
    where: RowFilter | None = None
    format: str | None = None
    topology: str | None = None
    face_model: Path | None = None
    s3: S3Settings = field(default_factory=S3Settings)


@dataclass(frozen=True)
class ExportPlan:
    """How a job's meshes can be had.

    export      format and topology that are wanted
    copies      whether the job wrote them so
    read, crop  the job's settings, by which others are made
    obstacle    why others cannot be made; "" where they can
    """

    export: ExportSettings
    copies: bool
    read: ReadSettings
    crop: CropSettings
    obstacle: str

    @staticmethod
    def of(request: ExportRequest, record: RunRecord) -> "ExportPlan":
        """Find out.

        Raises
        ------
        InputError, AssetError
            when meshes that are wanted can neither be copied nor made
        """
        settings = record.settings
        try:
            wrote = ExportSettings.model_validate(settings["export"])
            read, crop = ReadSettings.model_validate(settings["read"]), CropSettings.model_validate(settings["crop"])
            method = settings["reconstruct"]["method"]
        except (ValidationError, LookupError):
            raise InputError(
                f"{request.source}: its run.json is of another version; reconstruct the photos again"
            ) from None
        kind = request.format or wrote.format
        topology = request.topology or (wrote.topology if kind == wrote.format else "auto")
        export = ExportSettings.model_validate({"format": kind, "topology": topology, "previews": False})
        copies = wrote.meshes and (wrote.format, wrote.vertices) == (export.format, export.vertices)
        obstacle = ""
        if method != "fitted":
            obstacle = f"its method is {method}, whose meshes come from a network and not from the manifest's rows"
        if obstacle and not copies:
            has = f"it has {wrote.vertices} {wrote.format} files" if wrote.meshes else "it has no meshes"
            raise InputError(
                f"{request.source}: {has}, and others cannot be made: {obstacle}; "
                f"reconstruct the photos again with --format {export.format} --topology {export.vertices}"
            )
        if not obstacle:
            check_face_model(record, request.face_model)
        return ExportPlan(export, copies, read, crop, obstacle)
