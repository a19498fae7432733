"""The folder in which one machine keeps its state, and what lies where in it."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Home:
    """The state folder: `.local`, unless LOCAL_STATE names another."""

    root: Path

    @classmethod
    def default(cls) -> "Home":
        """Return the folder that the environment names, else `.local` of the project."""
        return cls(Path(os.environ.get("LOCAL_STATE") or PROJECT / ".local").absolute())

    @property
    def aws(self) -> Path:
        """What the embedded AWS keeps."""
        return self.root / "aws"

    @property
    def portal(self) -> Path:
        """What the stand-in of the telescope portal keeps."""
        return self.root / "portal"

    @property
    def mail(self) -> Path:
        """E-mail that would have been sent."""
        return self.root / "mail"

    @property
    def logs(self) -> Path:
        """One log per child process."""
        return self.root / "logs"

    @property
    def tmp(self) -> Path:
        """Temporary files of all child processes; emptied at every start and stop."""
        return self.root / "tmp"

    @property
    def keys_file(self) -> Path:
        """API keys made for this machine."""
        return self.root / "api_keys.yaml"

    @property
    def lock_file(self) -> Path:
        """Held while something serves from this folder."""
        return self.root / "lock"

    @property
    def running_file(self) -> Path:
        """The environment of the running server, for other programs."""
        return self.root / "running.json"

    @property
    def port_file(self) -> Path:
        """The port of the embedded AWS, kept so that presigned links stay on one address."""
        return self.root / "aws-port"

    @property
    def portal_port_file(self) -> Path:
        """The port of the stand-in, kept so that programs of the user find it again."""
        return self.root / "portal-port"

    def prepare(self) -> None:
        """Make the folders, empty the temporary one, and put long logs aside."""
        self.clear_tmp()
        for folder in (self.root, self.aws, self.portal, self.mail, self.logs, self.tmp):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in self.logs.glob("*.log"):
            if file.stat().st_size > 5_000_000:
                file.replace(file.with_suffix(".log.1"))

    def clear_tmp(self) -> None:
        """Remove the temporary files of a run that has ended."""
        shutil.rmtree(self.tmp, ignore_errors=True)

    def write_running(self, content: dict[str, Any]) -> None:
        """Tell other programs how to reach what is running here."""
        draft = self.running_file.with_suffix(".new")
        draft.write_text(json.dumps(content, indent=1))
        draft.chmod(0o600)
        draft.replace(self.running_file)

    def read_running(self) -> dict[str, Any] | None:
        """Return what `write_running` wrote if that server is still there."""
        try:
            content: dict[str, Any] = json.loads(self.running_file.read_text())
            os.kill(int(content["pid"]), 0)
        except (OSError, ValueError, KeyError):
            return None
        return content
