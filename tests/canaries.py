"""Secrets that are looked for where they must not be: in every form in which they could stand there."""

from __future__ import annotations

import base64
import contextlib
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote


def forms(secret: str, user: str = "publisher") -> dict[str, bytes]:
    """Return what a secret may look like: itself, quoted, in base64 at each of three offsets, as a basic credential."""
    raw = secret.encode()
    found = {
        "plain": raw,
        "reversed": raw[::-1],
        "hexadecimal": raw.hex().encode(),
        "quoted": quote(secret, safe="").encode(),
    }
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        found[f"base64 at {offset}"] = encoded[4 if offset else 0 : len(encoded) - 4]
    found["basic"] = base64.b64encode(f"{user}:{secret}".encode())
    return {name: value for name, value in found.items() if len(value) >= 12}


def seen(secrets: Mapping[str, str], content: bytes) -> list[str]:
    """Return which secrets, in which form, `content` holds."""
    return [
        f"{name} ({form})"
        for name, secret in secrets.items()
        for form, value in forms(secret).items()
        if value in content
    ]


def in_processes(pids: Iterable[int], secrets: Mapping[str, str]) -> list[str]:
    """Return what of the secrets stands in what the kernel tells of processes: environments, command lines, names."""
    found = []
    for pid in pids:
        for part in ("environ", "cmdline", "comm", "maps"):
            with contextlib.suppress(OSError):
                content = Path(f"/proc/{pid}/{part}").read_bytes()
                found += [f"/proc/{pid}/{part}: {each}" for each in seen(secrets, content)]
    return found


def in_files(folders: Iterable[Path], secrets: Mapping[str, str], *, except_for: frozenset[str]) -> list[str]:
    """Return what of the secrets stands in files, packed ones unpacked; `except_for` are names of files that hold them by design."""
    found = []
    for path in _files(folders):
        if path.name in except_for:
            continue
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            found += [f"{path}: {each}" for each in seen(secrets, content + _unpacked(content))]
    return found


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    yield path


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return b""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""
