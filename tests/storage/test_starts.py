import time
from datetime import UTC, datetime

import pytest

from facerecon_ray.storage.starts import Start, with_start


def test_a_run_notes_when_it_began_and_ended() -> None:
    run = Start()
    with run.noted():
        assert (run.outcome, run.finished) == ("running", None)
        time.sleep(0.01)
    assert run.outcome == "finished" and 0.01 <= run.seconds < 5.0
    assert run.finished is not None
    began, ended = map(datetime.fromisoformat, (run.started, run.finished))
    assert began <= ended <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("error", "outcome"), [(KeyboardInterrupt, "stopped"), (ValueError, "failed"), (SystemExit, "failed")]
)
def test_a_run_notes_what_ended_it(error: type[BaseException], outcome: str) -> None:
    run = Start()
    with pytest.raises(error), run.noted():
        raise error
    assert run.outcome == outcome and run.finished is not None


def test_an_earlier_run_that_never_said_how_it_ended_was_killed() -> None:
    earlier, now = [Start(outcome="finished"), Start()], Start()
    runs = with_start(earlier, now)
    assert [run.outcome for run in runs] == ["finished", "killed", "running"]
    assert runs[-1] is now and earlier[1].outcome == "running", "what was read stays as it was"
