"""Freeing a long chain one node after another, which Python in a browser needs."""

import sys
import weakref

from micrograd_mlp import Value
from micrograd_mlp.engine.release import release


class Node:
    """A Value as it is in the browser: with `release` as its `__del__`."""

    __del__ = release

    def __init__(self, *parents):
        self.parents = parents


def chain(n):
    node = Node()
    for _ in range(n):
        node = Node(node)
    return node


def test_a_chain_is_freed_without_a_call_inside_a_call(monkeypatch):
    depths = []

    def measured(node, active=[0]):  # noqa: B006 (one counter for all calls)
        active[0] += 1
        depths.append(active[0])
        release(node)
        active[0] -= 1

    monkeypatch.setattr(Node, "__del__", measured)
    node = chain(10_000)
    del node
    assert len(depths) == 10_001
    assert max(depths) <= 2


def test_what_something_else_refers_to_stays():
    kept = Node(Node())
    last = Node(kept)
    del last
    assert len(kept.parents) == 1


def test_nothing_is_left_behind():
    node = Node(Node())
    inner = weakref.ref(node.parents[0])
    del node
    assert inner() is None


def test_a_node_whose_constructor_raised_is_freed():
    release(Node.__new__(Node))


def test_a_value_is_freed_as_python_does_but_in_the_browser():
    assert hasattr(Value, "__del__") == (sys.platform == "emscripten")


def test_a_chain_of_a_million_values_is_freed():
    class Leaf(Value):  # unlike a Value, it may be referred to weakly
        pass

    x = Leaf(1.0)
    leaf = weakref.ref(x)
    for _ in range(1_000_000):
        x = -x
    assert x.data == 1.0
    del x
    assert leaf() is None
