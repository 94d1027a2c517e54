"""`facerecon export`: meshes of the rows that meet a condition, copied where the job has them, else made.

Names are those that the job gives, so what is there already is left as it is, and a run that was killed is continued.
"""

from collections.abc import Callable

from facerecon_ray.errors import InputError, OutputError
from facerecon_ray.jobs.progress import Progress
from facerecon_ray.pipeline.meshes.export_record import ExportRecord, load_export, require_same, save_export
from facerecon_ray.pipeline.meshes.request import ExportPlan, ExportRequest
from facerecon_ray.pipeline.meshes.transfer import COLUMNS, Exported, MeshTransfer
from facerecon_ray.storage.layout import EXPORT_LIST, RUN_RECORD
from facerecon_ray.storage.manifest_query import Conditions, open_manifests, select_rows
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_lock import claimed
from facerecon_ray.storage.run_record import load_record
from facerecon_ray.storage.software import package_version

Tell = Callable[[str], None]


def run_export(request: ExportRequest, progress: Progress, tell: Tell) -> Exported:
    """Write the meshes of the rows that meet the condition, and a list of them.

    Parameters
    ----------
    request : what is wanted
    progress : is told how many rows are done, of how many
    tell : is told of each row that gave no mesh, in one line

    Raises
    ------
    FaceReconError
        when no row meets the condition, the job's rows are not enough to make what is wanted, no mesh came out, or the
        target cannot be written
    """
    source, target = OutputFolder(request.source, request.s3), OutputFolder(request.target, request.s3)
    manifests = open_manifests([request.source], request.s3)
    record = load_record(source.store)
    if record is None:
        raise InputError(f"{source.uri}: there is no {RUN_RECORD}; name the output of `facerecon reconstruct`")
    plan = ExportPlan.of(request, record)
    if target.uri == source.uri:
        raise OutputError(f"{target.uri}: it is the output of the job itself; choose another folder")
    target.check_writable()
    conditions = Conditions(status=("ok",), where=request.where)
    total = sum(map(len, select_rows(manifests, [source.uri], conditions, ["status"])))
    if not total:
        raise InputError(f"{source.uri}: no face {'meets the condition' if request.where else 'is in it'}")
    now = ExportRecord(
        facerecon_ray=package_version(),
        source=source.uri,
        started=record.runs[0].started if record.runs else "",
        format=plan.export.format,
        topology=plan.export.vertices,
    )
    with claimed(target.store) as check:
        if earlier := load_export(target):
            require_same(earlier, now, target.uri)
        save_export(target, now)
        with MeshTransfer(source, target, plan, request, record.photo_root) as transfer:
            counts = transfer.counts
            progress(0, total)
            for lines in transfer.run(select_rows(manifests, [source.uri], conditions, COLUMNS)):
                check()
                for line in lines:
                    tell(line)
                progress(counts.rows, total)
        if not counts.meshes:
            raise InputError(f"none of {total} meshes could be written; the lines above say of each why not")
        target.write(EXPORT_LIST, transfer.listed())
    counts.list = target.link(EXPORT_LIST)
    return counts
