"""What of its image's root a run gets as its own, and where its commands begin."""

from __future__ import annotations

from pathlib import Path

import msgspec

from liftlock.domain.inputs.own_directories import implied, top_of
from liftlock.domain.inputs.places import BUILD, OWN
from liftlock.ports.sandbox import OwnRequest, Sandbox, Scratch
from liftlock.worker.images import ReadyImage
from liftlock.worker.outcome import RunEndedError
from liftlock.worker.payload import Payload


class Home(msgspec.Struct, frozen=True):
    """`own`: directories at the top of the root that are the task's own; `directory`: where its commands begin."""

    own: tuple[str, ...] = ()
    directory: str = BUILD
    home: str = BUILD


AT_BUILD = Home()


async def make_home(payload: Payload, image: ReadyImage | None, sandbox: Sandbox, scratch: Scratch) -> Home:
    """Return where the run is at home, with its own directories made.

    Raises:
        RunEndedError: the image has something else at their places, or they do not fit into the scratch.
        SandboxFailedError: what makes sandboxes failed.
    """
    wanted = _wanted(payload, image)
    if not wanted.own:
        return wanted
    listed = [one.path for one in payload.artifacts if one.type == "directory"]
    made = [path.removeprefix(f"{OWN}/") for path in listed if path.startswith(f"{OWN}/")]
    if top_of(wanted.directory) in wanted.own:
        made.append(wanted.directory[1:])
    sources = {} if image is None else _sources(Path(image.root), wanted.own)
    problem = await sandbox.make_own(OwnRequest(scratch, wanted.own, sources, tuple(made)))
    if problem is not None:
        raise RunEndedError("malformed-payload", f"the task's own directories can't be made: {problem}")
    return wanted


def _wanted(payload: Payload, image: ReadyImage | None) -> Home:
    """Return what the payload asks for; a place that its image names and nobody can write to does not count."""
    if payload.home != "image" or image is None:
        return Home(payload.own)
    root = Path(image.root)
    said = [
        place
        for place in (image.directory, image.home)
        if place is not None and (top := top_of(place)) is not None and not (root / top).is_symlink()
    ]
    own = implied(tuple(said), payload.own)
    directory = image.directory if image.directory in said and _is_plain(root, image.directory) else None
    home = image.home if image.home in said else None
    return Home(own, directory or BUILD, home or BUILD)


def _is_plain(root: Path, place: str | None) -> bool:
    """Tell whether no name in `place` is a link or a file in the image; it may be absent."""
    parts = Path(place or "/").parts[1:]
    found = [root.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    return all(path.is_dir() or not path.exists() for path in found) and not any(
        path.is_symlink() for path in found
    )


def _sources(root: Path, own: tuple[str, ...]) -> dict[str, str]:
    """Return name → directory of the image's tree, for those that the image has and shows."""
    found = {}
    for name in own:
        path = root / name
        if name == "tmp" or not (path.is_symlink() or path.exists()):
            continue
        if path.is_symlink() or not path.is_dir():
            raise RunEndedError(
                "malformed-payload",
                f"malformed payload: /{name} is a link or a file in the image; expected a directory, or nothing, where the"
                " task writes",
            )
        found[name] = str(path)
    return found
