"""The witness's process: fetches the audit log's checkpoints as a user of its own, and keeps them where nobody else can write.

It holds no credentials and no database. If the log no longer holds what was kept, it says so in its log, again and again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import structlog

from liftlock.cli.audit_witness import keep
from liftlock.cli.client import Api
from liftlock.cli.failures import VerificationFailedError
from liftlock.cli.profiles import Profile
from liftlock.domain.audit.note import BadNoteError
from liftlock.errors import LiftlockError
from liftlock.processes import settings
from liftlock.processes.journal import configure_logging
from liftlock.processes.local_witness import EVERY_S, WitnessSettings
from liftlock.processes.privileges import die_with_parent, drop_to

_log = structlog.get_logger(__name__)


def main() -> None:
    """Run the witness with the settings that the supervisor passes, until it is ended."""
    settings_fd, parent_pid = settings.arguments(
        "liftlock's witness of the audit log; started by `liftlock up`"
    )
    told = settings.read(settings_fd, WitnessSettings)
    configure_logging("witness")
    api = Api(Profile(told.root_url))
    os.umask(0o022)
    drop_to(told.user)
    die_with_parent(parent_pid)
    while True:
        _look(api, Path(told.directory))
        time.sleep(EVERY_S)


def _look(api: Api, directory: Path) -> None:
    try:
        keep(api, directory)
    except (VerificationFailedError, BadNoteError) as error:
        _log.critical("the audit log is not what was witnessed", code=error.code, error=error.message)
    except LiftlockError as error:
        _log.info("no checkpoint was kept this time", code=error.code, error=error.message)


if __name__ == "__main__":
    main()
