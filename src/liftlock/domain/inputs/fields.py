"""Reading JSON from an untrusted task so that every complaint names the path, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from liftlock.errors import InputValidationError

T = TypeVar("T")
D = TypeVar("D")
_SHOWN = 80
"""Characters of a found value that a message repeats."""


def wrong(path: str, expected: str, found: object) -> NoReturn:
    """Raise InputValidationError: at `path`, `found` stood where `expected` should."""
    shown = repr(found)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    raise InputValidationError(f"{path}: expected {expected}, found {shown}", path=path)


class Fields:
    """One JSON object that is read key by key; `done` then refuses the keys that nobody asked for."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            wrong(path, "an object", value)
        self.path = path
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def at(self, key: str) -> str:
        """Return the path of `key`."""
        return f"{self.path}.{key}"

    def has(self, key: str) -> bool:
        """Tell whether `key` is there, and count it as known."""
        self._known.append(key)
        return key in self._left

    def take(self, key: str, read: Callable[[object, str], T]) -> T:
        """Return what `read(value, path)` makes of a key that must be there."""
        self._known.append(key)
        if key not in self._left:
            found = ", ".join(sorted(str(name)[:_SHOWN] for name in self._left)) or "nothing else"
            raise InputValidationError(
                f"{self.at(key)}: missing; it must be given (found beside it: {found})", path=self.at(key)
            )
        return read(self._left.pop(key), self.at(key))

    def get(self, key: str, read: Callable[[object, str], T], default: D) -> T | D:
        """Return what `read(value, path)` makes of a key, or `default` if the key is absent."""
        self._known.append(key)
        if key not in self._left:
            return default
        return read(self._left.pop(key), self.at(key))

    def done(self) -> None:
        """Raise InputValidationError if a key was never asked for."""
        for key in self._left:
            known = ", ".join(sorted(set(self._known)))
            raise InputValidationError(
                f"{self.at(str(key)[:_SHOWN])}: unknown key; expected one of: {known}", path=self.at(str(key))
            )


def text(
    *, expected: str = "text", most: int = 4096, fits: Callable[[str], object] = bool
) -> Callable[[object, str], str]:
    """Return a reader of a string of at most `most` characters for which `fits` is true; NUL never fits."""

    def read(value: object, path: str) -> str:
        if not isinstance(value, str) or len(value) > most or "\0" in value or not fits(value):
            wrong(
                path,
                expected if len(str(value)) <= most else f"{expected} of at most {most} characters",
                value,
            )
        return value

    return read


def whole(least: int, most: int) -> Callable[[object, str], int]:
    """Return a reader of an integer from `least` to `most`, both included."""

    def read(value: object, path: str) -> int:
        if type(value) is not int or not least <= value <= most:
            wrong(path, f"an integer from {least} to {most}", value)
        return value

    return read


def flag(value: object, path: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        wrong(path, "true or false", value)
    return value


def one_of(*choices: str) -> Callable[[object, str], str]:
    """Return a reader of one of `choices`."""

    def read(value: object, path: str) -> str:
        if not isinstance(value, str) or value not in choices:
            wrong(path, f"one of {', '.join(choices)}", value)
        return value

    return read


def list_of(
    read: Callable[[object, str], T], *, least: int = 0, most: int = 1000
) -> Callable[[object, str], tuple[T, ...]]:
    """Return a reader of a list with `least` to `most` items, each read by `read`."""

    def read_list(value: object, path: str) -> tuple[T, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            wrong(path, f"a list of {least} to {most} items", value)
        return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(value))

    return read_list


def unique(names: Iterable[tuple[str, str]], what: str) -> None:
    """Raise InputValidationError at the second `(name, path)` that has the name of an earlier one."""
    seen: dict[str, str] = {}
    for name, path in names:
        if name in seen:
            raise InputValidationError(
                f"{path}: the {what} {name[:_SHOWN]!r} is taken by {seen[name]}; each must be its own",
                path=path,
            )
        seen[name] = path


_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def size(most: int) -> Callable[[object, str], int]:
    """Return a reader of a size in bytes, from 1 to `most`: an integer, or text such as `512MiB` or `2GiB`."""

    def read(value: object, path: str) -> int:
        found: object = value
        if isinstance(value, str):
            digits = value.rstrip("KMGTiB")
            unit = value[len(digits) :]
            if digits.isascii() and digits.isdecimal() and len(digits) <= 15 and unit in _UNITS:
                found = int(digits) * _UNITS[unit]
        if type(found) is not int or not 1 <= found <= most:
            wrong(path, f"a size from 1 to {most} bytes, such as 512MiB", value)
        return found

    return read
