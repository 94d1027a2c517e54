"""The launcher's own logic: its shell code is real, Python and the package installers are recorded stand-ins."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COPIED = ("facerecon", "pyproject.toml", "requirements.lock", "requirements-test.lock")
SYSTEM_TOOLS = ("bash", "env", "readlink", "dirname", "cat", "cksum", "id", "uname", "sed", "rm", "touch")

PYTHON = """#!/usr/bin/env bash
echo "python3 $*" >>"$LOG"
if [[ $1 == -m && $2 == venv ]]; then
    mkdir -p "$3/bin" && cp "$STAND_INS"/venv-python "$3/bin/python" && cp "$STAND_INS"/app "$3/bin/facerecon"
else
    exec "$REAL_PYTHON" "$@"
fi
"""
VENV_PYTHON = """#!/usr/bin/env bash
case $* in
"-m pip"*torch*) [[ ! -e $STAND_INS/offline ]] || exit 1 ;;&
-m*) echo "$*" >>"$LOG" ;;
"- torch"*) exit 1 ;;
esac
"""
APP = """#!/usr/bin/env bash
printf '<%s>' "$@"
"""


class Checkout:
    """A copy of the launcher in a folder whose name has spaces, with a PATH of stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out"
        self.tools = folder / "tools"
        self.log = folder / "log"
        self.root.mkdir()
        self.tools.mkdir()
        self.log.touch()
        for name in COPIED:
            shutil.copy(ROOT / name, self.root / name)
        for name in (*SYSTEM_TOOLS, "cp", "mkdir"):
            (self.tools / name).symlink_to(str(shutil.which(name)))
        for name, text in {"python3": PYTHON, "venv-python": VENV_PYTHON, "app": APP}.items():
            self.add_tool(name, text)
        self.environment = {
            "PATH": str(self.tools),
            "LOG": str(self.log),
            "STAND_INS": str(self.tools),
            "REAL_PYTHON": sys.executable,
        }

    def add_tool(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *arguments: str, launcher: Path | None = None) -> subprocess.Popen[str]:
        command = [str(launcher or self.root / "facerecon"), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd="/", stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str, launcher: Path | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, launcher=launcher)
        output, errors = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def installs(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if " install " in line or "-m venv" in line]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_use_installs_torch_without_dependencies_then_the_lock_then_the_project(checkout: Checkout) -> None:
    result = checkout.run("reconstruct", "my photos", "--output", "out")
    assert result.stdout == "<reconstruct><my photos><--output><out>"
    venv, uv, torch, lock, project = checkout.installs()
    assert venv == f"python3 -m venv {checkout.root}/.venv"
    assert "pip" in uv and "uv==" in uv
    assert "--no-index --no-deps torch==" in torch and torch.endswith("+cpu")
    assert lock.endswith(f"--no-deps -r {checkout.root}/requirements.lock")
    assert project.endswith(f"--no-deps --no-build-isolation -e {checkout.root}")


def test_second_use_starts_the_program_without_installing_or_asking_python(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.log.write_text("")
    result = checkout.run("demo")
    assert (result.stdout, result.stderr) == ("<demo>", "")
    assert checkout.log.read_text() == ""


def test_changed_lock_or_moved_checkout_installs_again(checkout: Checkout) -> None:
    checkout.run("demo")
    once = len(checkout.installs())
    with (checkout.root / "requirements.lock").open("a") as lock:
        lock.write("another==1.0\n")
    checkout.run("demo")
    twice = len(checkout.installs())
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    checkout.run("demo")
    assert once < twice < len(checkout.installs())


def test_launcher_works_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(checkout.root / "facerecon")
    assert checkout.run("demo", launcher=link).stdout == "<demo>"


def test_two_launches_at_once_install_once(checkout: Checkout) -> None:
    both = [checkout.start("demo"), checkout.start("demo")]
    assert [process.communicate(timeout=30)[0] for process in both] == ["<demo>", "<demo>"]
    assert sum("-m venv" in line for line in checkout.installs()) == 1


def test_test_adds_the_test_lock_and_runs_pytest_with_its_arguments(checkout: Checkout) -> None:
    assert checkout.run("test", "-k", "pose").returncode == 0
    assert checkout.installs()[-1].endswith(f"-r {checkout.root}/requirements-test.lock")
    assert checkout.log.read_text().splitlines()[-1] == "-m pytest -m not slow -k pose"


def test_slow_tests_are_run_when_asked_for(checkout: Checkout) -> None:
    assert checkout.run("test", "--slow", "-k", "pose").returncode == 0
    assert checkout.log.read_text().splitlines()[-1] == "-m pytest -k pose"


@pytest.mark.skipif(sys.platform != "linux", reason="names packages of Debian")
def test_missing_system_packages_are_named(checkout: Checkout) -> None:
    assert "skipped; install them to run all: chromium" in checkout.run("test").stderr


def test_too_old_python_is_named_with_what_to_do(checkout: Checkout) -> None:
    checkout.add_tool("python3", "#!/usr/bin/env bash\n[[ $2 == *print* ]] && echo 3.10 || exit 1\n")
    result = checkout.run("demo")
    assert result.returncode == 1
    assert "Python 3.11, 3.12 or 3.13" in result.stderr and "python3 here: 3.10" in result.stderr
    assert not (checkout.root / ".venv").exists()


def test_failed_download_says_so_and_the_next_use_tries_again(checkout: Checkout) -> None:
    offline = checkout.tools / "offline"
    offline.touch()
    result = checkout.run("demo")
    assert result.returncode == 1 and result.stdout == ""
    assert "could not be installed" in result.stderr and "Check the network" in result.stderr
    offline.unlink()
    assert checkout.run("demo").stdout == "<demo>"


@pytest.fixture
def foreign_checkout() -> Iterator[Checkout]:
    """One that the user may read; below /tmp, as the tests' own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        for path in (Path(folder), checkout.root):
            path.chmod(0o555)
        yield checkout
        checkout.root.chmod(0o755)


def test_a_user_who_may_not_write_the_checkout_is_told_so(foreign_checkout: Checkout) -> None:
    launcher = [str(foreign_checkout.root / "facerecon"), "demo"]
    other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.getuid() == 0 else []
    if other and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    environment = {**foreign_checkout.environment, "PATH": f"{foreign_checkout.tools}:/usr/bin:/bin"}
    done = subprocess.run([*other, *launcher], env=environment, cwd="/", capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "and this user may not write there. Run ./facerecon as the owner of" in done.stderr
    assert foreign_checkout.installs() == []


def test_killed_set_up_starts_from_scratch(checkout: Checkout) -> None:
    checkout.run("demo")
    left_over = checkout.root / ".venv" / "half-installed"
    left_over.touch()
    (checkout.root / ".venv" / "setup-unfinished").touch()
    (checkout.root / ".venv" / "app.stamp").unlink()
    assert checkout.run("demo").stdout == "<demo>"
    assert not left_over.exists()
