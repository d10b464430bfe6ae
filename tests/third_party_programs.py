"""Other people's programs, installed from their locks: once for a checkout, whichever test asks first."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LOCKS = Path(__file__).parent / "third_party"
KEPT = Path(__file__).parents[1] / ".cache" / "third-party"


def _once(name: str, lock: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder that `make` filled for the present contents of `lock`."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = KEPT / f"{name}-{digest}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{name}.lock").open("w") as waiting:
        fcntl.flock(waiting, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "complete").touch()
    return folder


def python_programs(name: str) -> Path:
    """Return the folder with the programs of the virtual environment that `third_party/<name>/requirements.txt` locks."""
    lock = LOCKS / name / "requirements.txt"

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [folder / "bin/pip", "install", "--quiet", "--require-hashes", "-r", lock]
        subprocess.run(install, check=True, timeout=600, stdin=subprocess.DEVNULL)

    return _once(name, lock, make) / "bin"


def node_modules(name: str) -> Path:
    """Return the folder `node_modules` with what `third_party/<name>/package-lock.json` locks."""
    source = LOCKS / name

    def make(folder: Path) -> None:
        for each in ("package.json", "package-lock.json"):
            shutil.copy(source / each, folder)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(install, cwd=folder, check=True, timeout=600, stdin=subprocess.DEVNULL)

    return _once(name, source / "package-lock.json", make) / "node_modules"
