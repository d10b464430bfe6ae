"""Which wheel fits an interpreter, by its file name's tags, best first.

Source: the binary distribution format's file names and platform compatibility tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from liftlock.domain.inputs.requirements import Requirement, normal_name

_FILE = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9.!+_]+)(-(?P<build>\d[^-]*))?"
    r"-(?P<python>[A-Za-z0-9_.]+)-(?P<abi>[A-Za-z0-9_.]+)-(?P<platform>[A-Za-z0-9_.]+)\.whl\Z",
    re.ASCII,
)
_LEGACY_GLIBC = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MANYLINUX = re.compile(
    r"(manylinux1|manylinux2010|manylinux2014|manylinux_(\d+)_(\d+))_([a-z0-9_]+)\Z", re.ASCII
)
_MUSLLINUX = re.compile(r"musllinux_(\d+)_(\d+)_([a-z0-9_]+)\Z", re.ASCII)
_ABI3 = re.compile(r"cp3(\d+)\Z", re.ASCII)


class Interpreter(msgspec.Struct, frozen=True):
    """What a sandbox's Python is: CPython `version`, `machine` as in platform tags, `glibc` None where it is musl."""

    version: tuple[int, int]
    machine: str
    glibc: tuple[int, int] | None

    @property
    def tag(self) -> str:
        """Return the short name, such as `cp311-linux_x86_64`."""
        return f"cp{self.version[0]}{self.version[1]}-linux_{self.machine}"


class Wheel(msgspec.Struct, frozen=True):
    """A wheel's file name, taken apart; `name` is normalised."""

    file: str
    name: str
    version: str
    tags: frozenset[tuple[str, str, str]]


def parse_file_name(file: str) -> Wheel | None:
    """Return what a wheel's file name says, or None if it is none."""
    match = _FILE.match(file)
    if match is None:
        return None
    tags = frozenset(
        (python, abi, platform)
        for python in match["python"].split(".")
        for abi in match["abi"].split(".")
        for platform in match["platform"].split(".")
    )
    return Wheel(file, normal_name(match["name"]), match["version"], tags)


def rank(wheel: Wheel, interpreter: Interpreter) -> int | None:
    """Return how well a wheel fits, 0 best, or None if it does not run on `interpreter`."""
    ranks = [found for tag in wheel.tags if (found := _tag_rank(tag, interpreter)) is not None]
    return min(ranks, default=None)


def _tag_rank(tag: tuple[str, str, str], interpreter: Interpreter) -> int | None:
    python, abi, platform = tag
    major, minor = interpreter.version
    own = f"cp{major}{minor}"
    if not _platform_fits(platform, interpreter):
        return None
    pure = 2 if platform == "any" else 0
    if (python, abi) == (own, own):
        return pure
    stable = _ABI3.match(python)
    if abi == "abi3" and stable and int(stable[1]) <= minor:
        return 4 + pure + (minor - int(stable[1]))
    if abi == "none" and python in _generic(interpreter):
        return 100 + pure
    return None


def _generic(interpreter: Interpreter) -> Iterator[str]:
    major, minor = interpreter.version
    yield f"cp{major}{minor}"
    yield f"py{major}"
    yield from (f"py{major}{older}" for older in range(minor + 1))


def _platform_fits(platform: str, interpreter: Interpreter) -> bool:
    if platform in ("any", f"linux_{interpreter.machine}"):
        return True
    if interpreter.glibc is None:
        musl = _MUSLLINUX.match(platform)
        return musl is not None and musl[3] == interpreter.machine
    many = _MANYLINUX.match(platform)
    if many is None or many[4] != interpreter.machine:
        return False
    needs = _LEGACY_GLIBC.get(many[1]) or (int(many[2]), int(many[3]))
    return needs <= interpreter.glibc


def choose(
    requirement: Requirement, there: dict[str, str], interpreter: Interpreter
) -> tuple[str, str] | str:
    """Return (sha256, file name) of the wheel that `requirement` allows and `interpreter` runs best, or why there is none.

    Args:
        there: sha256 → file name, of the wheels of that package that are in the wheelhouse, as measured.
    """
    said = f"{requirement.name}=={requirement.version}"
    fitting: list[tuple[int, str, str]] = []
    other: list[str] = []
    unfit: list[str] = []
    for digest, file in sorted(there.items(), key=lambda item: item[1]):
        wheel = parse_file_name(file)
        if wheel is None or wheel.name != requirement.name:
            continue
        found = rank(wheel, interpreter)
        if digest not in requirement.sha256:
            other.append(f"{file} measures {digest}")
        elif found is None:
            unfit.append(file)
        else:
            fitting.append((found, file, digest))
    if fitting:
        _, file, digest = min(fitting)
        return digest, file
    if unfit:
        return f"{said}: the lock allows {', '.join(unfit)}, which does not run on {interpreter.tag}"
    observed = "; ".join(other[:3]) or "no wheel of that package"
    declared = ", ".join(requirement.sha256[:3]) + (", …" if len(requirement.sha256) > 3 else "")
    return f"{said}: declared sha256 {declared}; observed in the wheelhouse: {observed}"
