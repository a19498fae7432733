"""The supervisor, with tiny programs as its children."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.home import PROJECT
from local.supervisor import Child, ChildFailedError, StoppedError, Supervisor, tail

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
ORPHAN = (
    f"import sys; sys.path.insert(0, {str(PROJECT)!r})\nfrom local.orphan import end_with_parent\nend_with_parent()\n"
)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.said = said  # type: ignore[attr-defined]
    yield supervisor
    supervisor.stop_all()


def child(tmp_path: Path, code: str, name: str = "child", stop_s: float = 5.0) -> Child:
    return Child(name, [sys.executable, "-c", code], dict(os.environ), tmp_path / f"{name}.log", stop_s=stop_s)


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)


def is_up(one: Child) -> bool:
    return "up" in tail(one.log_file)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_children_are_gone_after_the_stop(supervisor: Supervisor, tmp_path: Path) -> None:
    children = [supervisor.start(child(tmp_path, SLEEP, name)) for name in ("one", "two")]
    pids = [one.pid for one in children]
    wait_for(lambda: all(is_up(one) for one in children))

    supervisor.stop_all()

    assert all(pid is not None and not is_alive(pid) for pid in pids)


def test_a_child_that_ignores_sigterm_is_killed_with_what_it_started(supervisor: Supervisor, tmp_path: Path) -> None:
    grandchild = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
    code = f"{grandchild}open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid))\n{STUBBORN}"
    one = supervisor.start(child(tmp_path, code, stop_s=0.3))
    wait_for(lambda: tail(one.log_file).count("up") == 2)

    supervisor.stop_all()

    wait_for(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    assert one.pid is None


def test_a_child_that_dies_is_started_again_after_a_growing_delay(supervisor: Supervisor, tmp_path: Path) -> None:
    one = supervisor.start(child(tmp_path, "raise SystemExit(3)"))
    said: list[str] = supervisor.said  # type: ignore[attr-defined]

    def has_said(count: int) -> bool:
        supervisor.check()
        return sum("starting it again" in line for line in said) >= count

    wait_for(lambda: has_said(2))

    assert one.restarts == 1
    assert "exit code 3" in said[0]
    assert "in 0.5 s" in said[0]
    assert any("in 1 s" in line for line in said)


def test_a_child_that_was_killed_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    one = supervisor.start(child(tmp_path, SLEEP))
    first = one.pid
    assert first is not None
    wait_for(lambda: is_up(one))
    os.kill(first, signal.SIGKILL)

    wait_for(lambda: supervisor.check() or one.pid not in (None, first))

    assert "SIGKILL" in supervisor.said[0]  # type: ignore[attr-defined]


def test_a_child_that_ends_by_itself_gets_a_fresh_process_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    one = supervisor.start(child(tmp_path, "pass"))

    wait_for(lambda: supervisor.check() or one.restarts == 1)

    assert "in 0 s" in supervisor.said[0]  # type: ignore[attr-defined]


def test_waiting_ends_when_the_needed_child_dies(supervisor: Supervisor, tmp_path: Path) -> None:
    one = supervisor.start(child(tmp_path, "import sys; sys.exit('no such table')"))

    with pytest.raises(ChildFailedError, match="no such table"):
        supervisor.wait_until(lambda: False, [one], 30, "it")


def test_waiting_has_an_end(supervisor: Supervisor) -> None:
    with pytest.raises(ChildFailedError, match=r"the server did not answer within 0\.1 s"):
        supervisor.wait_until(lambda: False, [], 0.1, "the server")


def test_a_stop_ends_the_wait(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.stop()

    with pytest.raises(StoppedError):
        supervisor.wait_until(lambda: False, [], 30, "it")
    with pytest.raises(StoppedError):
        supervisor.start(child(tmp_path, SLEEP))


def test_a_program_that_must_end_may_fail(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.run_once(child(tmp_path, "print('done')", "good"), 30)
    with pytest.raises(ChildFailedError, match="bad failed"):
        supervisor.run_once(child(tmp_path, "raise SystemExit(1)", "bad"), 30)
    with pytest.raises(ChildFailedError, match="took longer"):
        supervisor.run_once(child(tmp_path, SLEEP, "slow"), 0.2)


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    parent = f"""
import os, sys, time
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from local.supervisor import Child, Supervisor
code = {(ORPHAN + SLEEP)!r}
child = Supervisor().start(Child("child", [sys.executable, "-c", code], dict(os.environ), Path({str(log)!r})))
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        wait_for(lambda: "up" in tail(log))
        process.kill()

    wait_for(lambda: not is_alive(pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(PROJECT)!r})
from pathlib import Path
from local.supervisor import Child, Supervisor
with Supervisor() as supervisor:
    child = supervisor.start(Child("child", [sys.executable, "-c", {SLEEP!r}], dict(os.environ), Path("child.log")))
    print(child.pid, flush=True)
    supervisor.run()
print("clean", flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.stdout.readline() == "clean\n"
        assert process.wait(10) == 0

    assert not is_alive(pid)
