"""The people of the demo, each with credentials of their own, who use the command line and the API."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError
from liftlock.cli.profiles import Profile
from liftlock.processes.demo.report import DifferenceError
from liftlock.processes.demo.server import COMMAND

COMMAND_LIMIT_S = 180.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    command: str
    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both outputs, for people to read."""
        return "\n".join(part.strip() for part in (self.stdout, self.stderr) if part.strip())

    @property
    def json(self) -> Any:
        """What it wrote as JSON; DifferenceError, with all that it said instead, if that is none."""
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            raise DifferenceError(
                f"{self.command}: expected JSON, and it ended with {self.status}: {self.text[-1000:] or 'nothing'}"
            ) from error


@dataclass(frozen=True, slots=True)
class Person:
    """One caller. `say` is told each command before it runs."""

    name: str
    profile: Profile
    home: Path
    say: Callable[[str], None]
    api: Api
    """The API with this person's own credentials."""

    @classmethod
    def of(cls, name: str, profile: Profile, home: Path, say: Callable[[str], None]) -> Person:
        """Return a person with an empty home of their own."""
        home.mkdir(parents=True, exist_ok=True)
        return cls(name, profile, home, say, Api(profile))

    def liftlock(self, *arguments: str, given: str | None = None) -> Ended:
        """Run `liftlock …` with this person's credentials, `given` on its standard input.

        Raises:
            DifferenceError: it did not end in time.
        """
        self.say(f"{self.name} $ liftlock {' '.join(_shown(one) for one in arguments)}")
        try:
            done = subprocess.run(
                [*COMMAND, *arguments],
                env=self.environment(),
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                timeout=COMMAND_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DifferenceError(
                f"liftlock {arguments[0]} did not end within {COMMAND_LIMIT_S:.0f} s"
            ) from error
        return Ended(f"liftlock {' '.join(arguments[:3])}", done.returncode, done.stdout, done.stderr)

    def environment(self) -> dict[str, str]:
        """Return the environment of this person's commands: nothing of whoever runs the demo but PATH and locale."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TERM") if name in os.environ}
        own = {"HOME": str(self.home), "NO_COLOR": "1", "TASKCLUSTER_ROOT_URL": self.profile.root_url}
        if self.profile.client_id:
            own["TASKCLUSTER_CLIENT_ID"] = self.profile.client_id
        if self.profile.access_token:
            own["TASKCLUSTER_ACCESS_TOKEN"] = self.profile.access_token
        return {**kept, **own}


def refused(what: str, act: Callable[[], Any]) -> AnsweredError:
    """Return the error with which the server answers `act`.

    Raises:
        DifferenceError: the server did it.
    """
    try:
        answer = act()
    except AnsweredError as error:
        return error
    raise DifferenceError(f"{what}: expected a refusal, and the answer was {str(answer)[:300]}")


def _shown(argument: str) -> str:
    quiet = argument and all(letter.isalnum() or letter in "-_./:=@,+" for letter in argument)
    return argument if quiet else "'" + argument.replace("'", "'\\''") + "'"
