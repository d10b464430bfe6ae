"""Stage 1 of publishing: build the sdist and the wheel that the request is about, into /build/artifacts/dist.

Whatever the project's own build code does, it does it here: without a network, a secret, or anything else worth having.
"""

import json
import os
import sys
from pathlib import Path

from setuptools import build_meta

SOURCE = Path("/build/src")
OUTPUT = Path("/build/artifacts/dist")


def main():
    asked = json.loads(Path("/inputs/operation.json").read_text())
    os.chdir(SOURCE)
    OUTPUT.mkdir(parents=True)
    built = [build_meta.build_sdist(str(OUTPUT)), build_meta.build_wheel(str(OUTPUT))]
    version = asked["input"]["version"]
    print(f"built {', '.join(built)} of {asked['revision']} for version {version}", flush=True)
    return 0 if all(f"-{version}" in name for name in built) else 1


if __name__ == "__main__":
    sys.exit(main())
