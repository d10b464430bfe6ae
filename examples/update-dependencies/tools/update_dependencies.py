"""Stage 1 of an update: pin what requirements.in asks for, by the index as it was when the update was asked for."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path("/build/src")
OUTPUT = Path("/build/artifacts/tree")


def main():
    OUTPUT.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "piptools",
        "compile",
        "--generate-hashes",
        "--strip-extras",
        "--no-header",
        "--upgrade",
    ]
    options = ["--no-emit-index-url", "--no-emit-trusted-host", "--allow-unsafe", "--quiet"]
    return subprocess.run(
        [*command, *options, "--output-file", str(OUTPUT / "requirements.txt"), "requirements.in"],
        cwd=SOURCE,
        env={**os.environ, "XDG_CACHE_HOME": "/build/cache"},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
