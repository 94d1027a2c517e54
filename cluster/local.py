#!/usr/bin/env python3
"""A Ray cluster of several nodes on this machine, to try out what will run on many: a head and workers, each a node.

    cluster/local.py start --workers 2 --cpus 2 --gpus 1     # of each worker; Ray does not check that they exist
    cluster/local.py start --node 4cpu --node 2cpu+1gpu+rotation_gpu:1
    cluster/local.py status
    cluster/local.py stop

Run it with the Python of the environment that holds Ray (.venv/bin/python). `start` prints the addresses and the
variables that other commands need; only who can read the token in the cluster's folder can use the cluster. `stop`
ends the processes that `start` started and no others.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# Paths of Unix sockets may have 107 characters, so the folder's name is short.
FOLDER = Path("/tmp/facerecon-cluster")
START_SECONDS = 120
STOP_SECONDS = 20


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the cluster's files and logs; one a cluster")
    commands = parser.add_subparsers(required=True, dest="command")
    starting = commands.add_parser("start", help="start head and workers")
    starting.add_argument("--workers", type=int, default=2)
    starting.add_argument("--cpus", type=float, default=1)
    starting.add_argument("--gpus", type=float, default=0)
    starting.add_argument("--node", action="append", help="a worker: CPUScpu[+GPUSgpu][+NAME:AMOUNT]; repeatable")
    starting.add_argument("--head-cpus", type=float, default=1)
    starting.add_argument("--dashboard-port", type=int, default=0, help="default: a free one")
    commands.add_parser("stop", help="end it")
    commands.add_parser("status", help="show whether it runs, and its addresses")
    arguments = parser.parse_args()
    if arguments.command == "start":
        nodes = arguments.node or [f"{arguments.cpus:g}cpu+{arguments.gpus:g}gpu"] * arguments.workers
        start(arguments.folder, arguments.head_cpus, [parse_node(node) for node in nodes], arguments.dashboard_port)
    elif arguments.command == "stop":
        stop(arguments.folder)
    else:
        show(arguments.folder)


def start(folder: Path, head_cpus: float, nodes: list[list[str]], dashboard_port: int) -> None:
    """Start the nodes and wait until all have joined."""
    if (folder / "cluster.json").exists():
        raise SystemExit(f"{folder} belongs to a cluster already; stop it first")
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    port, client, dashboard = free_port(), free_port(), dashboard_port or free_port()
    state = {
        "address": f"127.0.0.1:{port}",
        "client": f"ray://127.0.0.1:{client}",
        "dashboard": f"http://127.0.0.1:{dashboard}",
        "token": str(token),
        "pids": [],
    }
    head = [f"--port={port}", f"--ray-client-server-port={client}", f"--dashboard-port={dashboard}"]
    head += ["--head", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}/ray", f"--num-cpus={head_cpus:g}"]
    commands = [[*head, "--num-gpus=0"], *([f"--address={state['address']}", *node] for node in nodes)]
    try:
        for number, options in enumerate(commands):
            state["pids"].append(start_node(folder, number, options))
            (folder / "cluster.json").write_text(json.dumps(state, indent=2))
            wait_for_nodes(state, number + 1)
    except BaseException:
        stop(folder)
        raise
    show(folder)


def start_node(folder: Path, number: int, options: list[str]) -> int:
    """Start a node in the background; its process id."""
    ray = Path(sys.executable).with_name("ray")
    ports = [f"--{name}=0" for name in ("min-worker-port", "max-worker-port", "dashboard-agent-listen-port")]
    log = (folder / f"node-{number}.log").open("w")
    command = [str(ray), "start", "--block", "--node-ip-address=127.0.0.1", *ports, *options]
    environment = {**os.environ, **token_variables(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    # Jobs are started as `python`, which shall be this one.
    environment["PATH"] = f"{ray.parent}{os.pathsep}{environment.get('PATH', '')}"
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True).pid


def wait_for_nodes(state: dict, count: int) -> None:
    """Return when so many nodes have joined the cluster."""
    deadline = time.monotonic() + START_SECONDS
    folder = Path(state["token"]).parent
    script = f"import ray; ray.init({state['address']!r}, log_to_driver=False, logging_level='CRITICAL')"
    script += f"; import sys; sys.exit(sum(n['Alive'] for n in ray.nodes()) < {count})"
    while time.monotonic() < deadline:
        if not is_running(state["pids"][-1]):
            raise SystemExit(f"a node ended while it started; see {folder}/node-{len(state['pids']) - 1}.log")
        environment = {**os.environ, **token_variables(folder)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if (
            is_open(state["address"])
            and subprocess.run([sys.executable, "-c", script], env=environment, **quiet).returncode == 0
        ):
            return
        time.sleep(0.5)
    raise SystemExit(f"no answer for {START_SECONDS} seconds; see {folder}/node-*.log")


def stop(folder: Path) -> None:
    """End all nodes, workers first."""
    path = folder / "cluster.json"
    if not path.exists():
        raise SystemExit(f"there is no cluster in {folder}")
    pids = json.loads(path.read_text())["pids"]
    for pid in reversed(pids):
        end(pid)
    shutil.rmtree(folder)


def end(pid: int) -> None:
    """End a node: kindly, then all processes of its session."""
    if not is_running(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def show(folder: Path) -> None:
    """Print the addresses."""
    path = folder / "cluster.json"
    if not path.exists():
        raise SystemExit(f"there is no cluster in {folder}")
    state = json.loads(path.read_text())
    running = sum(map(is_running, state["pids"]))
    print(f"# {running} of {len(state['pids'])} nodes run; dashboard {state['dashboard']}")
    for name, value in {**token_variables(folder), "RAY_ADDRESS": state["address"]}.items():
        print(f"export {name}={value}")
    print(f"export RAY_API_SERVER_ADDRESS={state['dashboard']}")


def token_variables(folder: Path) -> dict[str, str]:
    """Environment with which a process may use the cluster."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{folder}/token"}


def parse_node(text: str) -> list[str]:
    """Options of `ray start` for a node such as 2cpu+1gpu+rotation_gpu:1."""
    options, resources = ["--num-gpus=0"], {}
    for part in text.split("+"):
        if part.endswith("cpu"):
            options.append(f"--num-cpus={part.removesuffix('cpu')}")
        elif part.endswith("gpu") and ":" not in part:
            options[0] = f"--num-gpus={part.removesuffix('gpu')}"
        elif ":" in part:
            name, amount = part.split(":")
            resources[name] = float(amount)
        else:
            raise SystemExit(f"node {text!r}: write CPUScpu[+GPUSgpu][+NAME:AMOUNT]")
    return [*options, f"--resources={json.dumps(resources)}"]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(address: str) -> bool:
    """Whether somebody listens."""
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended, even if nobody has asked for its exit code yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


if __name__ == "__main__":
    main()
