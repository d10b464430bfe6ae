"""What kind of content an artifact's name promises, and whether it is worth compressing. Pure; nothing is sniffed."""

from __future__ import annotations

DEFAULT = "application/octet-stream"
_BY_SUFFIX = {
    "asc": "text/plain; charset=utf-8",
    "bz2": "application/x-bzip2",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "log": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "pdf": "application/pdf",
    "png": "image/png",
    "py": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "toml": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "webp": "image/webp",
    "whl": "application/zip",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "yaml": "text/yaml; charset=utf-8",
    "yml": "text/yaml; charset=utf-8",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_TEXTUAL = ("text/", "application/json", "application/xml", "image/svg+xml")


def content_type(name: str) -> str:
    """Return the content type of an artifact called `name`."""
    last = name.rsplit("/", 1)[-1]
    return _BY_SUFFIX.get(last.rsplit(".", 1)[-1].lower(), DEFAULT) if "." in last else DEFAULT


def is_text(kind: str) -> bool:
    """Tell whether content of that type is sent compressed."""
    return kind.startswith(_TEXTUAL)
