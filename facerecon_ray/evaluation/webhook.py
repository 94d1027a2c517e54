"""Tell people how a run went: a message as Slack's incoming webhooks take it, and most of their likes."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from facerecon_ray.evaluation.gates import GateResult

TIME_LIMIT = 15.0
MOST_LINES = 20


def message(results: Sequence[GateResult], output: str) -> dict[str, object]:
    """What is sent: `text` for notifications, `blocks` for the channel.

    Parameters
    ----------
    results : of the gates; without any, the run just ended
    output : where the report is
    """
    failed = [result for result in results if not result.passed]
    if failed:
        title = f"Face reconstruction: {len(failed)} of {len(results)} gates failed"
    else:
        title = f"Face reconstruction: evaluation finished, {len(results)} gates passed"
    lines = [f"• {describe(result)}" for result in failed[:MOST_LINES]]
    lines += [f"… and {len(failed) - MOST_LINES} more"] if len(failed) > MOST_LINES else []
    lines.append(f"Report: {output}")
    return {
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}},
        ],
    }


def describe(result: GateResult) -> str:
    """A gate's result in one line."""
    gate, figure = result.gate, result.figure
    if figure is None:
        return f"{gate.metric} ({gate.model or 'any model'}, {gate.group}): {result.note}"
    return f"{gate.metric} of {figure.model} on {figure.data} ({figure.group}) is {figure.value:.4g}, {result.limit}"


def send(url: str, content: dict[str, object]) -> str | None:
    """Post a message.

    Returns
    -------
    None, or why it could not be delivered; never the address, which is a secret
    """
    if not url.startswith(("http://", "https://")):
        return "its address does not start with http:// or https://"
    request = urllib.request.Request(
        url, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIME_LIMIT):
            return None
    except urllib.error.HTTPError as error:
        return f"the server answered {error.code}"
    except (OSError, ValueError) as error:
        return f"no connection ({type(error).__name__})"
