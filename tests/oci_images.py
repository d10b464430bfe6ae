"""Images for tests: layers as lists of entries, put together as an OCI layout in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OCI = "application/vnd.oci.image"


def entry(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A tar entry; `more` are fields of TarInfo."""
    made = tarfile.TarInfo(name)
    made.size = len(content)
    made.mode = 0o644
    for key, value in more.items():
        setattr(made, key, value)
    return made, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=kind, linkname=target)


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def shell_layer(*more: str) -> bytes:
    """A layer in which /bin/sh, /usr/bin/cat, ls and `more` run: the host's, with their libraries."""
    found: dict[str, bytes] = {}
    for program in ("dash", "cat", "ls", "stat", *more):
        found[f"usr/bin/{program}"] = Path(f"/usr/bin/{program}").read_bytes()
        said = subprocess.run(
            ["ldd", f"/usr/bin/{program}"], capture_output=True, text=True, check=True
        ).stdout
        for word in said.split():
            if word.startswith("/"):
                real = word if word.startswith("/usr/") else f"/usr{word}"
                found[real[1:]] = Path(word).read_bytes()
    entries = [entry(name, content, mode=0o755) for name, content in sorted(found.items())]
    links = [link(name, f"usr/{name}") for name in ("bin", "lib", "lib64")]
    return layer(*links, link("usr/bin/sh", "dash"), *entries)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(slots=True)
class BuiltImage:
    """Blobs by sha256; `digest` is the manifest's."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    digest: str = ""
    layers: list[str] = field(default_factory=list)

    def put(self, content: bytes) -> dict[str, Any]:
        self.blobs[sha256(content)] = content
        return {"digest": f"sha256:{sha256(content)}", "size": len(content)}

    def write_layout(self, directory: Path) -> str:
        """Write an OCI layout; return the directory."""
        (directory / "blobs" / "sha256").mkdir(parents=True)
        for digest, content in self.blobs.items():
            (directory / "blobs" / "sha256" / digest).write_bytes(content)
        directory.chmod(0o755)
        return str(directory)

    def archive(self) -> bytes:
        """The layout as a tar."""
        manifest = {"mediaType": f"{OCI}.manifest.v1+json", "digest": f"sha256:{self.digest}"}
        index = {"schemaVersion": 2, "manifests": [manifest | {"size": len(self.blobs[self.digest])}]}
        entries = [entry("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')]
        entries.append(entry("index.json", json.dumps(index).encode()))
        entries += [entry(f"blobs/sha256/{name}", content) for name, content in self.blobs.items()]
        return layer(*entries)


def build(
    *layers: bytes, diff_ids: list[str] | None = None, env: list[str] | None = None, directory: str = ""
) -> BuiltImage:
    """An image of gzip-compressed layers, the lowest first; `directory` is where its programs begin."""
    made = BuiltImage()
    described = []
    for content in layers:
        packed = gzip.compress(content, 1, mtime=0)
        described.append(made.put(packed) | {"mediaType": f"{OCI}.layer.v1.tar+gzip"})
        made.layers.append(sha256(packed))
    config = {
        "os": "linux",
        "architecture": ARCHITECTURE,
        "config": {"Env": env or [], "WorkingDir": directory},
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [f"sha256:{sha256(one)}" for one in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": made.put(json.dumps(config).encode()) | {"mediaType": f"{OCI}.config.v1+json"},
        "layers": described,
    }
    made.digest = made.put(json.dumps(manifest).encode())["digest"].removeprefix("sha256:")
    return made
