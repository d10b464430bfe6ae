"""Where an input may lie: paths inside the sandbox and inside another input, all plain and none leading out."""

from __future__ import annotations

from liftlock.domain.inputs.fields import wrong

BUILD = "/build"
INPUTS = "/inputs"
OWN = ".root"
"""Where a scratch holds what its task sees at the top of its root, and not below /build."""
_MAX_PATH = 1024


def is_plain(path: str) -> bool:
    """Tell whether `path` is relative, of plain names between single slashes: no `.`, `..`, control characters."""
    return (
        0 < len(path) <= _MAX_PATH
        and all(
            part not in ("", ".", "..") and len(part.encode("utf-8", "replace")) <= 255
            for part in path.split("/")
        )
        and path.isprintable()
    )


def relative_path(value: object, path: str) -> str:
    """Read a relative path of plain names."""
    if not isinstance(value, str) or not is_plain(value):
        wrong(path, "a relative path of plain names such as out/build.zip", value)
    return value


def below(root: str, value: object, path: str) -> str:
    """Read an absolute path strictly below `root`; return it."""
    if not isinstance(value, str) or not value.startswith(f"{root}/") or not is_plain(value[len(root) + 1 :]):
        wrong(path, f"an absolute path below {root}, of plain names", value)
    return value


def mount_path(value: object, path: str) -> str:
    """Read where an input is mounted, read-only: below /inputs."""
    return below(INPUTS, value, path)


def build_path(value: object, path: str) -> str:
    """Read where an input is put, writable: below /build."""
    found = below(BUILD, value, path)
    if is_hidden(found):
        wrong(path, f"a place other than {BUILD}/{OWN}, which is the worker's", value)
    return found


def is_hidden(path: str) -> bool:
    """Tell whether an absolute path is the worker's own place below /build."""
    return overlaps(path, f"{BUILD}/{OWN}") and path != BUILD


def overlaps(one: str, other: str) -> bool:
    """Tell whether one absolute path is the other, or lies below it."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def seen_at(path: str) -> str:
    """Return where the task sees what lies at `path` of its scratch."""
    return path.removeprefix(OWN) if path.startswith(f"{OWN}/") else f"{BUILD}/{path}"


def in_scratch(path: str) -> str:
    """Return a path below /build as the sandbox's file operations take it: relative to /build."""
    return path.removeprefix(f"{BUILD}/")
