"""A task group as a graph: tasks, or their kinds where there are many; the boundary between trust zones as a wall."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from liftlock.ports.overview_store import Face
from liftlock.services.task_groups_seen import STATES, GroupSeen
from liftlock.web.pages.layered_layout import NODE_WIDTH, Placed, lay_out

MOST_TASKS: Final = 150
"""More tasks than this are drawn as kinds."""
MOST_NODES: Final = 400
MOST_EDGES: Final = 1_500
SHAPES_KEPT: Final = 64
PRIVILEGED: Final = "privileged"
_BAR: Final = NODE_WIDTH - 16


@dataclass(frozen=True, slots=True)
class Node:
    """A task or a kind. `bar` are (state, x, width) of a kind's progress; `state` is the worst that is in it."""

    label: str
    kind: str
    state: str
    count: int
    task_id: str
    privileged: bool
    bar: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """What crosses the wall along an edge: artifact names, empty where it is order only."""

    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """A few words."""
        if not self.names:
            return "order only"
        last = self.names[0].rpartition("/")[2]
        more = f" +{len(self.names) - 1}" if len(self.names) > 1 else ""
        return (last if len(last) <= 14 else f"{last[:13]}…") + more


@dataclass(frozen=True, slots=True)
class Graph:
    """What is drawn: `crossings` by edge; `left_out` counts nodes or edges that would be too many."""

    nodes: tuple[Node, ...]
    placed: Placed
    crossings: dict[tuple[int, int], Crossing]
    by_kind: bool
    left_out: int


def is_privileged(face: Face) -> bool:
    """Tell whether the task runs where secrets are: in a queue of privileged workers."""
    return face.queue.rpartition("/")[2].startswith(PRIVILEGED)


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a graph does not change while tasks run: `members` are the numbers of each node's tasks."""

    members: tuple[tuple[int, ...], ...]
    placed: Placed
    crossings: dict[tuple[int, int], Crossing]
    by_kind: bool
    left_out: int


class Shapes:
    """Keeps the latest shapes: those of large groups take longer to find than all else of a page."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, int, str | None], Shape] = OrderedDict()

    def graph(self, name: str, group: GroupSeen, opened: str | None) -> Graph:
        """Return the graph of the group called `name`; tasks that were added since make another shape."""
        key = (name, len(group.faces), max(group.faces, default=0), opened)
        shape = self._kept.get(key) or shape_of(group.faces, opened)
        self._kept[key] = shape
        self._kept.move_to_end(key)
        if len(self._kept) > SHAPES_KEPT:
            self._kept.popitem(last=False)
        return drawn(shape, group)


def shape_of(faces: Mapping[int, Face], opened: str | None) -> Shape:
    """Return the shape; the kind `opened` is drawn task by task, if it is not too large."""
    by_kind = len(faces) > MOST_TASKS
    keys: dict[str, object] = {}
    members: dict[object, list[int]] = {}
    sizes = Counter(face.kind for face in faces.values())
    for number, face in faces.items():
        whole = by_kind and (face.kind != opened or sizes[face.kind] > MOST_NODES // 2)
        key: object = (face.kind, is_privileged(face)) if whole else number
        keys[face.task_id] = key
        members.setdefault(key, []).append(number)
    shown = list(members)[:MOST_NODES]
    index = {key: place for place, key in enumerate(shown)}
    crossings = _edges(faces.values(), keys, index)
    edges = list(crossings)[:MOST_EDGES]
    zones = [int(is_privileged(faces[members[key][0]])) for key in shown]
    return Shape(
        tuple(tuple(members[key]) for key in shown),
        lay_out(zones, edges),
        {edge: Crossing(tuple(names)) for edge, names in crossings.items()},
        by_kind,
        len(members) - len(shown) + len(crossings) - len(edges),
    )


def drawn(shape: Shape, group: GroupSeen) -> Graph:
    """Return the graph with the states that its tasks have now."""
    nodes = tuple(_node(group, numbers) for numbers in shape.members)
    return Graph(nodes, shape.placed, shape.crossings, shape.by_kind, shape.left_out)


def _edges(
    faces: Iterable[Face], keys: dict[str, object], index: dict[object, int]
) -> dict[tuple[int, int], list[str]]:
    """Return the edges with what they carry; that of a decision task to who also needs others is not drawn."""
    found: dict[tuple[int, int], list[str]] = {}
    for face in faces:
        target = index.get(keys[face.task_id])
        sources = {one: index.get(keys[one]) for one in face.dependencies if one in keys}
        others = len({place for place in sources.values() if place not in (None, 0, target)})
        carried = dict(face.crossing)
        for one, source in sources.items():
            if source is None or target is None or source == target or (source == 0 and others):
                continue
            names = found.setdefault((source, target), [])
            names += [name for name in carried.get(one, ()) if name not in names][: 20 - len(names)]
    return found


def _node(group: GroupSeen, numbers: Sequence[int]) -> Node:
    face = group.faces[numbers[0]]
    counts = Counter(group.states[number] for number in numbers)
    single = len(numbers) == 1
    bar, x = [], 0.0
    if not single:
        for state in ("completed", "failed", "exception", "running", "pending", "unscheduled"):
            width = _BAR * counts[state] / len(numbers)
            if width:
                bar.append((state, round(8 + x, 1), round(width, 1)))
                x += width
    return Node(
        face.name if single else face.kind,
        face.kind,
        next(state for state in STATES if counts[state]),
        len(numbers),
        face.task_id if single else "",
        is_privileged(face),
        tuple(bar),
    )
