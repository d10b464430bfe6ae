"""Files of locked packages that a package index inside the sandbox answers with."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from liftlock.domain.inputs.manifest import Measured


class ServedFile(msgspec.Struct, frozen=True):
    """One verified file of a package called `package` (normalised for pypi); `metadata` of npm's lock."""

    kind: Literal["pypi", "npm"]
    package: str
    file: Measured
    metadata: dict[str, Any] = {}
