"""The repository speaks of itself alone: no paths of a checkout, no hosts of package registries, nothing unfinished."""

from __future__ import annotations

import re
from pathlib import Path

from source_tree import ROOT, files, shown

MACHINE_MADE = {"uv.lock"}  # written by uv: it names where each package comes from
# Each word is written so that this file does not contain it.
BANNED = {
    "the folder of a checkout": re.escape(f"{ROOT}/") if len(ROOT.parts) > 2 else r"(?!)",
    "a folder beside the checkout": r"\.\./share[d]\b|/wor[k]/(main|shared|\.library)\b|/tmp/brie[f]",
    "how it was written": r"sub[-]?agen[t]|helper sessio[n]",
    "a registry's host": r"\bpyp[i]\.org|python[h]osted\.org|registry\.npm[j]s\.org|deb\.debia[n]\.org",
    "something unfinished": r"\b(TOD[O]|FIXM[E]|XX[X])\b",
    "a number of a tracker": r"\bissue #?\d",
}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_no_file_contains_a_banned_word() -> None:
    found = [
        f"{shown(path)}:{text.count(chr(10), 0, match.start()) + 1} {why}: {match[0]}"
        for path in files()
        if path.name not in MACHINE_MADE
        for text in [_text(path)]
        for why, pattern in BANNED.items()
        for match in re.finditer(pattern, text)
    ]
    assert found == []


def test_the_lock_file_knows_one_index_only() -> None:
    lock = (ROOT / "uv.lock").read_text()
    indexes = set(re.findall(r'registry = "([^"]*)"', lock))
    assert len(indexes) == 1, indexes
    assert {url.split("/")[2] for url in indexes} == {"pyp" + "i.org"}
    assert set(re.findall(r'url = "https://([^/"]*)/', lock)) == {"files.python" + "hosted.org"}


def test_every_locked_package_is_pinned_by_a_digest() -> None:
    distributions = [line for line in (ROOT / "uv.lock").read_text().splitlines() if 'url = "' in line]
    assert distributions
    assert [line for line in distributions if 'hash = "sha256:' not in line] == []
