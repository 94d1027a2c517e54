"""Settings of the evaluation: what a YAML job file of `facerecon evaluate` may say.

Text under a field is its documentation.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from facerecon_ray.config.settings import AbsolutePath, Names, Settings
from facerecon_ray.config.storage import Location, S3Settings


class EvaluationData(Settings):
    subjects: int | None = Field(default=None, ge=0)
    """Embedded held-out subjects; without a number 4 when no other data are given, else none."""
    first_subject: int = Field(default=0, ge=0)
    """Number of the first of them; other numbers are other people."""
    children: int = Field(default=0, ge=0)
    """Embedded held-out children beside them."""
    foreign: AbsolutePath | None = None
    """Folder of foreign heads that `facerecon model people` made."""
    scans: AbsolutePath | None = None
    """Folder of textured scans in the layout of MICC Florence, or just of meshes."""
    landmarks: AbsolutePath | None = None
    """Folder in the layout of AFLW2000-3D: photos, each with a .mat file that has pt3d_68."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many foreign heads, scans, and photos with landmarks each."""


class ProtocolSettings(Settings):
    yaws: tuple[float, ...] = Field(default=(-80.0, -60.0, -40.0, -20.0, 0.0, 20.0, 40.0, 60.0, 80.0), min_length=1)
    """Degrees by which every scan is turned to the side, each with every pitch."""
    pitches: tuple[float, ...] = Field(default=(-15.0, 0.0, 15.0), min_length=1)
    """Degrees by which it is turned up."""
    size: int = Field(default=256, ge=96, le=1024)
    """Width and height of the pictures in pixels."""
    penalty: float = Field(default=0.10, ge=0.0)
    """Error that a failed reconstruction counts as in the mean with failures, as a share of the face's size."""
    landmark_penalty: float = Field(default=0.50, ge=0.0)
    """The same for landmarks, as a share of their box; landmarks that went wrong are off by 0.3 and more."""
    most_triangles: int = Field(default=300_000, ge=10_000)
    """Larger scans are drawn from a mesh thinned to this size; they are measured as they are."""
    recognition: bool = True
    """Compare the meshes with the photos by face recognition."""


class WorkSettings(Settings):
    cpus: float = Field(default=1.0, gt=0.0)
    """CPUs that Ray reserves for one task; a task has the pictures of one pitch of one scan."""
    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs for one task; fractions share a GPU. With none it computes on CPUs."""
    photos_a_task: int = Field(default=16, ge=1)
    """Photos with landmarks in one task."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""


class WebhookSettings(Settings):
    url: SecretStr | None = None
    """Address that gets a message (JSON as Slack takes it). Better kept in the variable FACERECON_WEBHOOK."""
    when: Literal["failure", "always"] = "failure"
    """On failed gates only, or after every run."""


class EvaluateJob(Settings):
    """Everything that `facerecon evaluate` can be told by a job file."""

    command: ClassVar[str] = "evaluate"

    output: Location = Field(default="evaluation", validate_default=True)
    """Folder or s3://bucket/prefix for the results: index.html, evaluation.json, rows.parquet."""
    models: tuple[Annotated[str, Names.MODEL], ...] = ("fitted", "mean-face")
    """fitted, mean-face, two-view, two-view-unrotated, prnet; a network with other weights as two-view=WEIGHTS, or a
    .safetensors file of the two-view network."""
    data: EvaluationData = EvaluationData()
    protocol: ProtocolSettings = ProtocolSettings()
    photos_per_person: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """So many pictures of a scan are made into one face together, for the error by their number; none by default."""
    outliers: int = Field(default=12, ge=0)
    """Worst reconstructions that the report shows with pictures."""
    history: Location | None = None
    """Folder or s3://bucket/prefix where every run leaves its figures, for the trend and for the gates."""
    gates: AbsolutePath | None = None
    """YAML file of the gates that a run must pass; without one nothing is compared."""
    webhook: WebhookSettings = WebhookSettings()
    work: WorkSettings = WorkSettings()
    s3: S3Settings = Field(default_factory=S3Settings)
