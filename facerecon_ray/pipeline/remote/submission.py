"""Jobs on a cluster by the Ray Jobs API: submit, follow, look, stop."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from facerecon_ray.cluster.tokens import token_advice
from facerecon_ray.errors import FaceReconError, SettingsError
from facerecon_ray.jobs.progress import PROGRESS_EVENT
from facerecon_ray.pipeline.remote.job_package import JobPackage
from facerecon_ray.waiting import announced

_ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
_DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_TALKATIVE = ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
_SILENT_SECONDS = 15.0
"""Without a piece of a log, after which its job is looked at."""
_PATIENCE_SECONDS = 90.0
"""With a cluster that does not answer while a job is watched: a cable may be put back."""
_LOG_FOLLOWS = ", last available logs"
_REASON = re.compile(r"^(?:error: .*|\w*(?:Error|Exception)\b: .*)$", re.MULTILINE)
_PROGRESS = re.compile(rf"^.*\bevent={PROGRESS_EVENT}\b.*$", re.MULTILINE)


class NoAnswerError(FaceReconError):
    """No cluster answers."""


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
        with self._asking():
            self._client = JobSubmissionClient(self.address)

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
        with self._asking(), announced(f"{self.address} to take the job and its files"):
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
        """Pieces of a job's log as they are written, until it ends.

        A connection to a machine that has lost its power is silent for ever: where it is, the job is asked for.

        Raises
        ------
        FaceReconError
            when the cluster does not answer any more, or knows the job no more since it was started anew
        """
        loop = asyncio.new_event_loop()
        pieces = self._client.tail_job_logs(job)
        waiting: asyncio.Task[str] | None = None

        async def next_piece() -> str:
            return await anext(pieces)

        try:
            while True:
                waiting = loop.create_task(next_piece())
                answered = time.monotonic()
                while not loop.run_until_complete(asyncio.wait([waiting], timeout=_SILENT_SECONDS))[0]:
                    try:
                        if self._has_ended(job):
                            return
                        answered = time.monotonic()
                    except NoAnswerError:
                        if time.monotonic() - answered > _PATIENCE_SECONDS:
                            raise
                with self._asking():
                    try:
                        piece = waiting.result()
                    except StopAsyncIteration:
                        return
                    except RuntimeError as error:
                        raise ConnectionError(_first_line(error)) from None
                yield piece
        finally:
            if waiting:
                # Whoever ends the watching does so while the next piece is waited for.
                waiting.cancel()
                loop.run_until_complete(asyncio.wait([waiting]))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def logs(self, job: str) -> str:
        """The log of a job so far."""
        with self._asking(job):
            return self._client.get_job_logs(job)

    def state(self, job: str) -> JobState:
        """What has become of a job.

        Raises
        ------
        FaceReconError
            when the cluster knows no such job
        """
        with self._asking(job):
            state = _state(self._client.get_job_info(job))
            log = self._client.get_job_logs(job)
        lines = _PROGRESS.findall(log)
        reasons = _REASON.findall(log) if state.status == JobStatus.FAILED else []
        found = {"progress": lines[-1] if lines else "", "message": reasons[-1] if reasons else state.message}
        return JobState(**{**vars(state), **found})

    def jobs(self) -> list[JobState]:
        """All jobs that were submitted to the cluster, the newest first."""
        with self._asking():
            found = [_state(details) for details in self._client.list_jobs() if details.submission_id]
        return sorted(found, key=lambda state: state.started or datetime.max.replace(tzinfo=UTC), reverse=True)

    def stop(self, job: str) -> bool:
        """Ask a job to stop; False when it had ended before."""
        with self._asking(job):
            return self._client.stop_job(job)

    def _has_ended(self, job: str) -> bool:
        """Whether a job that this cluster took has ended.

        Raises
        ------
        FaceReconError
            when the cluster knows it no more
        """
        try:
            with self._asking(job):
                return _state(self._client.get_job_info(job)).ended is not None
        except SettingsError:
            raise FaceReconError(
                f"{self.address} knows {job} no more: the cluster was started anew; submit the job again, and it goes "
                "on from what it had done"
            ) from None

    @contextmanager
    def _asking(self, job: str | None = None) -> Iterator[None]:
        """Turn what goes wrong while the cluster is asked, perhaps for a job, into errors for the user."""
        try:
            yield
        except AuthenticationError:
            raise FaceReconError(f"the Ray cluster at {self.address} {token_advice()}") from None
        except (OSError, aiohttp.ClientError) as error:
            raise NoAnswerError(f"no Ray cluster answers at {self.address}: {_first_line(error)}") from None
        except RuntimeError as error:
            if job and ("does not exist" in str(error) or "404" in str(error)):
                raise SettingsError(f"{self.address} knows no job {job}; `facerecon status` lists all") from None
            raise FaceReconError(f"{self.address}: {_first_line(error)}") from None


def _state(details: JobDetails) -> JobState:
    return JobState(
        job=details.submission_id or "",
        status=str(details.status),
        message=(details.message or "").partition("\n")[0].partition(_LOG_FOLLOWS)[0],
        started=_time(details.start_time),
        ended=_time(details.end_time),
        metadata=details.metadata or {},
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
