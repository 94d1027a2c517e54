#!/usr/bin/env python3
"""Hosts that share nothing but an equal environment, on this machine: to try out what happens when one of many breaks.

    cluster/hosts.py start --hosts 3 --host store     # until Ctrl-C; in another terminal:
    cluster/hosts.py run host-1 ray start --head --node-ip-address=10.77.0.1
    cluster/hosts.py link host-2 down                 # its cable is pulled; up puts it back
    cluster/hosts.py kill host-3                      # its power is cut
    cluster/hosts.py boot host-3                      # a new, empty one in its place

Each host has a network, processes, a name, /tmp, /var/tmp, /run, /dev/shm and a home folder of its own; all else of
this machine it sees read-only. The hosts reach each other as 10.77.0.1, 10.77.0.2, ... and by their names, and nothing
else; nothing else reaches them. They are Linux namespaces: it takes root, or a system that lets users make namespaces,
and Debian's packages util-linux and iproute2. When `start` ends, in whatever way, all that ran on the hosts ends.

Run it with the Python of the environment that the hosts shall have (.venv/bin/python).
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path("/tmp/facerecon-hosts")
NETWORK = "10.77.0"
SWITCH = "switch"
SHARED_MEMORY = "512m"
START_SECONDS = 30
TOOLS = ("ip", "unshare", "nsenter", "mount")
NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc")
SCRIPT = Path(__file__).resolve()
ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


class Hosts:
    """Hosts that `start` has made, by the folder that knows of them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        try:
            self.state = json.loads((folder / "hosts.json").read_text())
        except FileNotFoundError:
            raise SystemExit(f"there are no hosts in {folder}; start them first") from None

    @property
    def names(self) -> list[str]:
        """All hosts, whether they run or not."""
        return list(self.state["hosts"])

    def number(self, name: str) -> int:
        """Number of a host, from 1."""
        if name not in self.names:
            raise SystemExit(f"there is no host {name}; there are {', '.join(self.names)}")
        return self.names.index(name) + 1

    def address(self, name: str) -> str:
        """IPv4 address of a host."""
        return f"{NETWORK}.{self.number(name)}"

    def command(self, name: str, *words: str) -> list[str]:
        """A command line that runs another one on a host."""
        pid = self._pid(name)
        if not pid:
            raise SystemExit(f"{name} does not run; boot it first")
        return [*self._on_switch(), "nsenter", f"--target={pid}", *NAMESPACES, *words]

    def boot(self, name: str) -> None:
        """Start a host, empty."""
        if self._pid(name):
            raise SystemExit(f"{name} runs already")
        cable = self._cable(name)
        # What a host that was killed left of its cable may still be there.
        self._ip("link", "delete", cable, check=False)
        options = [str(SCRIPT), f"--folder={self.folder}", "_host", name, *self.names]
        log = self.folder / f"{name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*self._on_switch(), "unshare", *NAMESPACES, "--fork", sys.executable, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=ENVIRONMENT,
                start_new_session=True,
                text=True,
            )
        with process.stdout as told:  # type: ignore[union-attr]
            pid = told.readline().strip()
            if not pid:
                raise SystemExit(f"{name} could not be started: {log.read_text().strip()}")
            # A machine that comes back has the same network card, by which its neighbours know it.
            card = ("address", f"02:00:00:00:00:{self.number(name):02x}")
            self._ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", *card, "netns", pid)
            self._ip("link", "set", cable, "master", SWITCH, "up")
            (self.folder / name).write_text(pid)
            for words in (
                ("link", "set", "lo", "up"),
                ("address", "add", f"{self.address(name)}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
            ):
                subprocess.run(self.command(name, "ip", *words), env=ENVIRONMENT, check=True, timeout=START_SECONDS)

    def kill(self, name: str) -> None:
        """Cut a host's power: nobody hears of it any more, not even that its connections end."""
        pid = self._pid(name)
        if not pid:
            raise SystemExit(f"{name} does not run")
        self.link(name, "down")
        subprocess.run([*self._on_switch(), "kill", "-KILL", str(pid)], env=ENVIRONMENT, check=True)
        (self.folder / name).unlink()

    def link(self, name: str, state: str) -> None:
        """Pull a host's cable (down) or put it back (up)."""
        self._ip("link", "set", self._cable(name), state)

    def _pid(self, name: str) -> int:
        """First process of a host as the switch knows it; 0 when the host does not run."""
        self.number(name)
        try:
            return int((self.folder / name).read_text())
        except FileNotFoundError:
            return 0

    def _cable(self, name: str) -> str:
        return f"cable{self.number(name)}"

    def _on_switch(self) -> list[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self.state['switch']}", *user, *NAMESPACES]

    def _ip(self, *words: str, check: bool = True) -> None:
        quiet = None if check else subprocess.DEVNULL
        command = [*self._on_switch(), "ip", *words]
        subprocess.run(command, env=ENVIRONMENT, check=check, stderr=quiet, timeout=START_SECONDS)


def why_not() -> str:
    """Why this machine cannot have such hosts; "" when it can."""
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=ENVIRONMENT["PATH"])]
    if missing:
        return f"{', '.join(missing)} not installed (Debian's packages util-linux and iproute2)"
    script = f"ip link add {SWITCH} type bridge && mount -t tmpfs none /tmp"
    command = ["unshare", *as_root(), *NAMESPACES, "--fork", "sh", "-c", script]
    tried = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=START_SECONDS)
    return tried.stderr.strip().replace("\n", "; ") if tried.returncode else ""


def as_root() -> list[str]:
    """Options of unshare with which a user is root in the namespaces."""
    return [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def start(folder: Path, names: list[str]) -> None:
    """Make the hosts, and take them away when standard input ends, or Ctrl-C or SIGTERM comes."""
    if reason := why_not():
        raise SystemExit(f"this machine cannot have hosts of its own: {reason}")
    if (folder / "hosts.json").exists():
        raise SystemExit(f"{folder} belongs to other hosts; stop them, or choose another --folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The switch's first process ends when the other end of its standard input is gone, and the system with it ends
    # every process of the hosts, of which the switch's process namespace is the parent.
    holder = subprocess.Popen(
        ["unshare", *as_root(), *NAMESPACES, "--fork", "--mount-proc", sys.executable, str(SCRIPT), "_switch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
        text=True,
    )
    try:
        if holder.stdout is None or not holder.stdout.readline():
            raise SystemExit("the network could not be made (see above)")
        switch = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
        (folder / "hosts.json").write_text(json.dumps({"switch": int(switch), "hosts": names}, indent=2))
        hosts = Hosts(folder)
        for name in names:
            hosts.boot(name)
        print("\n".join(f"{hosts.address(name):<12} {name}" for name in names), flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    finally:
        holder.communicate()
        shutil.rmtree(folder)


def be_switch() -> None:
    """First process of the network: lives until its standard input ends."""
    subprocess.run(["ip", "link", "add", SWITCH, "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", SWITCH, "up"], check=True)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdin.read()


def be_host(name: str, names: list[str]) -> None:
    """First process of a host: sets up its files and outlives all others."""
    pid = str(Path("/proc/self").readlink())  # its number on the switch, whose /proc this still is
    socket.sethostname(name)
    separate_files()
    known = [f"{NETWORK}.{number} {other}" for number, other in enumerate(names, 1)]
    own = Path("/run/hosts")
    own.write_text("\n".join(["127.0.0.1 localhost", "::1 localhost", *known, ""]))
    mount("--bind", str(own), "/etc/hosts")
    print(pid, flush=True)
    os.close(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of processes that have lost their parent no trace shall stay
    while True:
        signal.pause()


def separate_files() -> None:
    """Let this process and its children see all files read-only, and some folders of their own instead."""
    kept = {Path(place).resolve() for place in (SCRIPT.parents[1], sys.prefix, sys.base_prefix)}
    opened = {place: os.open(place, os.O_PATH) for place in sorted(kept)}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        point = line.split()[1].encode().decode("unicode_escape")
        if not point.startswith(("/proc", "/sys", "/dev")):
            subprocess.run(["mount", "-o", "remount,bind,ro", point], check=False, stderr=subprocess.DEVNULL)
    mount("-t", "proc", "proc", "/proc")
    home = Path.home().resolve()
    for place in dict.fromkeys(map(str, ("/tmp", "/var/tmp", "/run", home))):
        Path(place).mkdir(parents=True, exist_ok=True)  # a home folder that was in /tmp is gone by now
        mount("-t", "tmpfs", "-o", f"mode={1777 if place.endswith('tmp') else 700}", "tmpfs", place)
        for inside in (kept_place for kept_place in opened if kept_place.is_relative_to(place)):
            inside.mkdir(parents=True, exist_ok=True)
            mount(
                "--no-canonicalize", "--bind", f"/proc/self/fd/{opened[inside]}", str(inside), opened=[opened[inside]]
            )
            mount("-o", "remount,bind,ro", str(inside))
    mount("-t", "tmpfs", "-o", f"size={SHARED_MEMORY},mode=1777", "tmpfs", "/dev/shm")
    for descriptor in opened.values():
        os.close(descriptor)
    os.chdir(tempfile.gettempdir())


def mount(*words: str, opened: Sequence[int] = ()) -> None:
    """Call mount with files that this process has open."""
    subprocess.run(["mount", *words], check=True, pass_fds=opened)


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="that knows of the hosts; one a network")
    commands = parser.add_subparsers(required=True, dest="command", metavar="start,run,link,kill,boot")
    starting = commands.add_parser("start", help="make hosts; they are there until it ends")
    starting.add_argument("--hosts", type=int, default=3, help="named host-1, host-2, ...")
    starting.add_argument("--host", action="append", default=[], help="one more, of this name; repeatable")
    running = commands.add_parser("run", help="run a command on a host")
    running.add_argument("host")
    running.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    linking = commands.add_parser("link", help="pull a host's cable, or put it back")
    linking.add_argument("host")
    linking.add_argument("state", choices=["down", "up"])
    commands.add_parser("kill", help="cut a host's power").add_argument("host")
    commands.add_parser("boot", help="start a host that was killed, empty").add_argument("host")
    commands.add_parser("_switch")
    hosting = commands.add_parser("_host")
    hosting.add_argument("host")
    hosting.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "start":
        start(arguments.folder, [f"host-{number + 1}" for number in range(arguments.hosts)] + arguments.host)
    elif arguments.command == "_switch":
        be_switch()
    elif arguments.command == "_host":
        be_host(arguments.host, arguments.names)
    elif arguments.command == "run":
        command = Hosts(arguments.folder).command(arguments.host, *arguments.words)
        os.execvpe(command[0], command, ENVIRONMENT)
    elif arguments.command == "link":
        Hosts(arguments.folder).link(arguments.host, arguments.state)
    elif arguments.command == "kill":
        Hosts(arguments.folder).kill(arguments.host)
    else:
        Hosts(arguments.folder).boot(arguments.host)


if __name__ == "__main__":
    main()
