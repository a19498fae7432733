"""The end-to-end run: what `make package` made is deployed to an emulator, used, updated and removed.

Usage: `python -m deployment.e2e build/package`. Everything listens on the loopback interface, lies in one temporary
folder, and is gone afterwards. The emulator is MiniStack: it makes the stack from the template, runs the functions from
the bundle and the layers, and lets each only do what its policy allows. What it cannot show is checked in the template,
and said.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployment.e2e import access, faces, gaps, ledger, observing, repeats, routes, telescope, update
from deployment.e2e.asking import Asker, E2EError
from deployment.e2e.films import FRAME_SIZE_PX, Films
from deployment.e2e.http import asker
from deployment.e2e.letters import Letters
from deployment.e2e.scripts import run_example
from deployment.e2e.stack import Clock, Deployment, emulator
from local.emulator import answers
from local.portal.stand_in import StandIn

LOG_TAIL = 2000
LAST_ERRORS = 10

Say = Callable[[str], None]


class Run:
    """One run, part after part.

    Parameters
    ----------
    package : Path
        Folder that `make package` has filled.
    folder : Path
        Takes all files of the run.
    url : str
        Address of the emulator.
    portal : StandIn
        The telescope portal.
    say : callable
        Takes a line for each thing that is proven.
    """

    def __init__(self, package: Path, folder: Path, url: str, portal: StandIn, say: Say) -> None:
        self._package = package
        self._folder = folder
        self._portal = portal
        self._say = say
        self._clock = Clock()
        self._deployment = Deployment(url, self._clock)
        self._ask: Asker
        self._films: Films
        self._letters: Letters
        self._observing: observing.Observing

    def all(self) -> None:
        """Deploy, use, update, remove.

        Raises
        ------
        E2EError
            If something is not as it should be.
        """
        self._deploy()
        self._begin()
        self._use_apis()
        self._make_films()
        self._end()
        self._change()

    def errors(self) -> list[str]:
        """Return the last errors that the functions have logged, as far as the emulator still tells."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return access.errors(self._deployment)[-LAST_ERRORS:]
        except (BotoCoreError, ClientError):
            return []

    def _deploy(self) -> None:
        self._deployment.create(self._package, **observing.prepare(self._deployment, self._portal))
        self._say(f"deployed as `make deploy` does it, to {self._deployment.api}")
        self._ask = asker(self._deployment)
        self._films = Films(self._deployment, self._ask, self._clock, self._folder)
        self._letters = Letters(self._films)
        self._observing = observing.Observing(self._deployment, self._ask, self._clock, self._portal)
        # the first request starts the function, and may meet a stack that is not quite there
        self._clock.wait("the API", lambda: answers(f"{self._deployment.api}/api/v1/health") or None)

    def _begin(self) -> None:
        """Begin with what takes its time: the schedule comes once a minute, and messages fail one after the other."""
        self._observing.ask()
        self._observing.observe()
        self._say(
            f"an observation was asked for as documented; after {observing.LIMIT} requests the address is throttled"
        )
        self._observing.cancel_another()
        self._say("another observation was cancelled, here and at the portal")
        self._say(f"examples/upload_frames.py, by presigned POST: {self._films.upload_frames()}")
        self._letters.lose_message()
        self._letters.break_photometry()
        self._letters.send_unreadable()

    def _use_apis(self) -> None:
        ledger.drive(self._ask)
        self._say("asimov REST API: every documented call, and every error")
        telescope.drive(self._ask)
        self._say("telescope API: targets, files, groups, processes, templates, pages, and what each refuses")
        self._say(f"the gateway: {routes.check_gateway(self._ask)}")
        self._say(f"/openapi.json and /docs: {faces.check_description(self._ask, routes.paths_of(self._package))}")
        self._say(f"/api/v1/stream: {faces.follow_ledger(self._ask)}")
        repeats.drive(self._ask)
        self._say("Idempotency-Key: a repeat is answered as the first was, another body refused")
        self._ask("GET", "/api/v1/health/ready", 200, {"status": "ok", "checks": dict})
        self._say("ready: every dependency answers the API's own role")
        rotated = {"authorization": f"Bearer {self._deployment.rotated_token}"}
        self._ask("PUT", ledger.EVENT, 200, ..., {"meta": {}}, authorization=None, headers=rotated)
        self._say("two API keys: one from the template's parameter, one from the Parameter Store")
        self._export()
        self._say(f"refused at the storage: {self._films.refuse_uploads()}")

    def _export(self) -> None:
        """Write the ledger to a file and read it back, with the examples for it."""
        file = self._folder / "ledger.yml"
        file.write_text(run_example(self._deployment, "export_ledger.py"))
        self._ask("DELETE", ledger.EVENT, 204)
        run_example(self._deployment, "import_ledger.py", str(file))
        self._ask("GET", ledger.PRODUCTION, 200)
        again = run_example(self._deployment, "export_ledger.py")
        if again != file.read_text():
            raise E2EError(f"the ledger came back as {again}\nnot as {file.read_text()}")
        self._say("examples/export_ledger.py and import_ledger.py: the ledger comes back as it was")

    def _make_films(self) -> None:
        self._say(f"Timelapse over HTTP: {self._films.make_film()}")
        self._say(f"Timelapse by a message, examples/start_timelapse.py: {self._films.make_film_by_message()}")
        self._say(f"on request: {self._films.make_pictures()}")
        self._say(f"dead letters: {self._letters.check_given_up()}")
        self._say(f"/api/pipeline/<pk>/stream: {faces.follow_process(self._ask, self._letters.broken)}")

    def _end(self) -> None:
        """See what was begun through to its end."""
        observing.finish(self._observing, self._folder, self._say)
        self._letters.check_resent()
        self._say("the schedule's sweep has sent a lost message again: its film is made")

    def _change(self) -> None:
        changed = update.other_package(self._package, self._folder)
        told = update.update(self._deployment, changed, self._films, self._letters)
        self._say(f"updated the stack, other code and parameters, nothing lost or replaced: {told}")
        self._say(f"examples/replay_dead_letters.py, then examples/light_curve.py: {self._letters.replay()}")
        self._say(routes.check_all_used(self._package, self._ask, self._ask.asked))
        secrets = {
            "API key": self._deployment.token,
            "rotated API key": self._deployment.rotated_token,
            "portal's token": self._portal.token,
            "e-mail address": observing.EMAIL,
            "signature of a link": "X-Amz-Signature",
        }
        self._say(f"logs: {access.check_logs(self._deployment, secrets)}")
        self._say(f"roles: {access.check_roles(self._deployment, self._letters.broken)}")
        self._say(f"files: {access.check_files(self._deployment)}")
        for line in gaps.check(self._deployment, self._package):
            self._say(line)
        self._say(
            f"removed as `make undeploy` does it: {update.remove(self._deployment, self._package, self._letters)}"
        )


def run(package: Path, say: Say) -> None:
    """Run it on a package.

    Raises
    ------
    E2EError
        If something is not as it should be.
    """
    say("`make package` ran each function alone, with nothing but its zip files (`python -I -S`)")
    with tempfile.TemporaryDirectory(prefix="sidereal-e2e-") as name, _portal() as portal:
        folder = Path(name)
        with emulator(folder) as url:
            say(f"emulator with IAM on {url}")
            whole = Run(package, folder, url, portal, say)
            try:
                whole.all()
            except Exception:
                print((folder / "emulator.log").read_text()[-LOG_TAIL:], *whole.errors(), sep="\n", file=sys.stderr)
                raise


@contextmanager
def _portal() -> Iterator[StandIn]:
    portal = StandIn(size_px=FRAME_SIZE_PX)
    portal.start()
    try:
        yield portal
    finally:
        portal.stop()


def _end_in_order() -> None:
    """Let signals that end a run unwind it, so that the emulator and the folder go with it."""

    def end(number: int, frame: object) -> None:
        del frame
        for each in ends:  # once is enough: the second must not break off what the first has begun
            signal.signal(each, signal.SIG_IGN)
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(128 + number)

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in ends:
        signal.signal(each, end)


def main() -> int:
    """Run it on the package named on the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.e2e", description="Deploy a package to an emulator, use it, update it, remove it."
    )
    parser.add_argument("package", type=Path, help="folder that `make package` has filled")
    package = parser.parse_args().package
    _end_in_order()
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    try:
        run(package, say)
    except E2EError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
