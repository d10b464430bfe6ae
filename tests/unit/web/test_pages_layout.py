"""The layout of graphs: stages go right, lanes stay on their side of the wall, nothing overlaps."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from liftlock.web.pages.layered_layout import NODE_HEIGHT, lay_out


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    lanes = draw(st.lists(st.integers(0, 1), min_size=1, max_size=30))
    pairs = st.tuples(st.integers(0, len(lanes) - 1), st.integers(0, len(lanes) - 1))
    edges = draw(st.lists(pairs, max_size=60, unique=True))
    return lanes, [(min(edge), max(edge)) for edge in set(edges) if edge[0] != edge[1]]


@given(graphs())
def test_every_edge_goes_right_and_no_two_nodes_overlap(
    graph: tuple[list[int], list[tuple[int, int]]],
) -> None:
    lanes, edges = graph
    edges = sorted(set(edges))
    placed = lay_out(lanes, edges)
    for source, target in edges:
        assert placed.nodes[source][0] < placed.nodes[target][0]
    assert len(set(placed.nodes)) == len(lanes)
    by_column: dict[float, list[float]] = {}
    for x, y in placed.nodes:
        by_column.setdefault(x, []).append(y)
    for column in by_column.values():
        ordered = sorted(column)
        assert all(b - a >= NODE_HEIGHT for a, b in itertools.pairwise(ordered))


@given(graphs())
def test_lanes_are_divided_by_the_wall_and_what_crosses_it_is_labelled(
    graph: tuple[list[int], list[tuple[int, int]]],
) -> None:
    lanes, edges = graph
    placed = lay_out(lanes, sorted(set(edges)))
    if placed.wall is None:
        assert 1 not in lanes
        return
    for lane, (_, y) in zip(lanes, placed.nodes, strict=True):
        assert (y > placed.wall) == bool(lane)
    labels = sorted(middle for _, _, _, middle in placed.edges if middle is not None)
    assert len(labels) == sum(lanes[a] != lanes[b] for a, b in set(edges))
    assert all(b - a >= 128 for a, b in itertools.pairwise(labels))


def test_a_cycle_is_drawn_and_ends_nothing() -> None:
    placed = lay_out([0, 0, 0], [(0, 1), (1, 2), (2, 1)])
    assert len(placed.edges) == 3


def test_nothing_is_laid_out_as_nothing() -> None:
    assert lay_out([], []).nodes == ()
