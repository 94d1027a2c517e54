"""Jobs on a cluster by the Ray Jobs API: submit, follow, look, stop."""

import asyncio
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from facerecon_ray.errors import FaceReconError, SettingsError
from facerecon_ray.pipeline.progress import PROGRESS_EVENT
from facerecon_ray.pipeline.remote.job_package import JobPackage

_ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
_DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
_PROGRESS = re.compile(rf"^.*\bevent={PROGRESS_EVENT}\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class JobState:
    """A job as the cluster knows it.

    progress   the newest line of progress in its log, "" when there is none yet
    message    why it ended, or what it waits for, in one line
    """

    job: str
    status: str
    message: str
    started: datetime | None
    ended: datetime | None
    metadata: dict[str, str]
    progress: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it ended as it should."""
        return self.status == JobStatus.SUCCEEDED


class JobServer:
    """The Jobs API of a cluster.

    Parameters
    ----------
    address : of the dashboard, http://HOST:8265; without one RAY_API_SERVER_ADDRESS, and without that this machine

    Raises
    ------
    FaceReconError
        when it does not answer
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get(_ADDRESS_VARIABLE) or _DEFAULT_ADDRESS
        if not self.address.startswith(("http://", "https://")):
            raise SettingsError(f"--address {self.address}: write http://HOST:PORT of the cluster's dashboard")
        # Ray prefers its own variables to the address it is given.
        os.environ[_ADDRESS_VARIABLE] = self.address
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            self._client = JobSubmissionClient(self.address)
        except (ConnectionError, RuntimeError) as error:
            raise FaceReconError(f"no Ray cluster answers at {self.address}: {_first_line(error)}") from None

    def submit(self, package: JobPackage, job: str | None = None) -> str:
        """Start a job and return its id.

        Parameters
        ----------
        package : from `package_job`
        job : an id of the user's; a cluster takes each only once, which keeps a nightly job from running twice

        Raises
        ------
        FaceReconError
            when the id was used before, or the cluster refuses the job
        """
        try:
            return self._client.submit_job(
                entrypoint=package.entrypoint,
                submission_id=job,
                # Otherwise Ray unpacks the package anew when the job connects, while the job reads files in it.
                runtime_env={"working_dir": str(package.folder), "config": {"eager_install": False}},
                metadata=package.metadata,
            )
        except (RuntimeError, ValueError) as error:
            if job and "already exists" in str(error):
                raise SettingsError(f"--id {job}: this cluster has had a job of that id; choose another") from None
            raise FaceReconError(f"{self.address} refuses the job: {_first_line(error)}") from None

    def follow(self, job: str) -> Iterator[str]:
        """Pieces of a job's log as they are written, until it ends."""
        loop = asyncio.new_event_loop()
        pieces = self._client.tail_job_logs(job).__aiter__()
        try:
            while True:
                try:
                    yield loop.run_until_complete(pieces.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def logs(self, job: str) -> str:
        """The log of a job so far."""
        self.state(job)
        return self._client.get_job_logs(job)

    def state(self, job: str) -> JobState:
        """What has become of a job.

        Raises
        ------
        FaceReconError
            when the cluster knows no such job
        """
        state = _state(self._details(job))
        lines = _PROGRESS.findall(self._client.get_job_logs(job))
        return JobState(**{**vars(state), "progress": lines[-1] if lines else ""})

    def jobs(self) -> list[JobState]:
        """All jobs that were submitted to the cluster, the newest first."""
        found = [_state(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda state: state.started or datetime.max.replace(tzinfo=UTC), reverse=True)

    def stop(self, job: str) -> bool:
        """Ask a job to stop; False when it had ended before."""
        self._details(job)
        return self._client.stop_job(job)

    def _details(self, job: str) -> JobDetails:
        try:
            return self._client.get_job_info(job)
        except RuntimeError as error:
            if "does not exist" in str(error) or "404" in str(error):
                raise SettingsError(f"{self.address} knows no job {job}; `facerecon status` lists all") from None
            raise FaceReconError(f"{self.address}: {_first_line(error)}") from None


def _state(details: JobDetails) -> JobState:
    return JobState(
        job=details.submission_id or "",
        status=str(details.status),
        message=(details.message or "").partition("\n")[0],
        started=_time(details.start_time),
        ended=_time(details.end_time),
        metadata=details.metadata or {},
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
