"""Boxes never overlap, edges run from left to right, and few of them cross."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, Value, squared_error, total
from micrograd_mlp.render.layout import lay_out


@st.composite
def orders(draw):
    nodes = [Value(0.1 * i) for i in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, 12))):
        x, y = (draw(st.sampled_from(nodes)) for _ in range(2))
        nodes.append(draw(st.sampled_from([x + y, x * x, -x])))
    return nodes[-1].topological_order()


def plain(order):
    return lay_out(order, [10.0] * len(order), gap=4.0, lane=6.0)


@given(orders())
def test_parents_stand_to_the_left(order):
    columns = dict(zip(order, plain(order).columns, strict=True))
    for node in order:
        for parent in node.parents:
            assert columns[parent] < columns[node]


@given(orders())
def test_nothing_overlaps_in_a_column(order):
    layout = plain(order)
    by_column = {}
    for (node, column), y in layout.routes.items():
        half = 5.0 if layout.columns[node] == column else 1.0
        by_column.setdefault(column, []).append((y - half, y + half))
    for spans in by_column.values():
        for (_, upper), (lower, _) in itertools.pairwise(sorted(spans)):
            assert upper <= lower
    assert min(layout.y) >= 5.0 - 1e-9
    assert max(layout.y) <= layout.height - 5.0 + 1e-9


@given(orders())
def test_every_edge_has_a_lane_in_each_column_that_it_passes(order):
    layout = plain(order)
    index = {node: i for i, node in enumerate(order)}
    for node in order:
        for parent in node.parents:
            for column in range(layout.columns[index[parent]], layout.columns[index[node]]):
                assert (index[parent], column) in layout.routes


def test_a_leaf_stands_right_before_its_first_use():
    x, late = Value(1.0), Value(2.0)
    y = x.exp().exp() * late
    order = y.topological_order()
    columns = dict(zip(order, plain(order).columns, strict=True))
    assert columns[late] == columns[y] - 1 == 2


def test_neurons_stand_in_the_order_of_the_layer():
    loss = squared_error(MLP(2, [3, 1], activation="tanh", seed=0)([1.0, 2.0]), 0.0)
    order = loss.topological_order()
    layout = plain(order)
    y = {node.label: height for node, height in zip(order, layout.y, strict=True)}
    assert y["a1[1]"] < y["a1[2]"] < y["a1[3]"]


def crossings(order, layout):
    """By brute force: pairs of edges between the same two columns that change sides."""
    index = {node: i for i, node in enumerate(order)}
    links = {
        ((index[parent], column), (i if column + 1 == layout.columns[i] else index[parent], column + 1))
        for i, node in enumerate(order)
        for parent in node.parents
        for column in range(layout.columns[index[parent]], layout.columns[i])
    }
    return sum(
        (layout.routes[a] - layout.routes[c]) * (layout.routes[b] - layout.routes[d]) < 0
        for (a, b), (c, d) in itertools.combinations(links, 2)
        if a[1] == c[1]
    )


def test_columns_are_ordered_so_that_fewer_edges_cross():
    x = [Value(float(i)) for i in range(6)]
    # Each xᵢ is used with its neighbour, and the sums come in a muddled order.
    sums = [(x[i].exp() + x[i + 1].exp()).sin() for i in (3, 0, 4, 1, 2)]
    order = total(sums).topological_order()
    assert crossings(order, plain(order)) <= 6  # 11 with the columns in the order of the graph


def test_a_chain_and_a_shared_input_cross_nothing():
    x = Value(1.0)
    y = x.exp().sin().exp() * x
    order = y.topological_order()
    assert crossings(order, plain(order)) == 0
