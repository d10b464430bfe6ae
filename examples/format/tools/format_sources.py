"""Stage 1 of formatting: run the formatter on the checkout, and leave the files that it changed in /build/artifacts/tree."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path("/build/src")
OUTPUT = Path("/build/artifacts/tree")


def digests():
    found = SOURCE.rglob("*.py")
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in found if ".git" not in path.parts}


def main():
    before = digests()
    OUTPUT.mkdir(parents=True)
    status = subprocess.run([sys.executable, "-m", "black", "--quiet", str(SOURCE)], check=False).returncode
    for path, digest in digests().items():
        if before.get(path) != digest:
            target = OUTPUT / path.relative_to(SOURCE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            print(f"formatted {path.relative_to(SOURCE)}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
