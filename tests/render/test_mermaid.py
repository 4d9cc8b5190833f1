"""Mermaid flowcharts: the scene's names and edges, within what Mermaid draws."""

import re

import pytest

from micrograd_mlp import MLP, Value, draw, squared_error, total


def edges(text):
    return re.findall(r"^  (\w+) --> (\w+)$", text, re.MULTILINE)


def test_every_node_and_every_edge_is_there():
    w, x = Value(0.5, "w"), Value(2.0, "x")
    z = w * x + w
    z.backward()
    text = draw(z).mermaid()
    assert text.startswith("flowchart LR\n")
    assert len(edges(text)) == 4
    assert len(re.findall(r":::(op|input)", text)) == 4
    assert "w<br>data 0.5<br>grad 3" in text


def test_a_label_can_not_break_out():
    text = draw(Value(1.0, 'a"]; click n0 "javascript:x" <b>') * 2.0).mermaid()
    assert "click n0" in text
    assert all(line.count('"') in (0, 2) for line in text.splitlines())
    assert "<b>" not in text


def test_a_large_graph_is_folded_until_mermaid_draws_it():
    model = MLP(4, [16, 16, 3], activation="tanh", seed=0)
    loss = squared_error(model([1.0, 2.0, 3.0, 4.0]), [0.0, 0.0, 0.0])
    text = draw(loss).mermaid()
    assert 0 < len(edges(text)) <= 500
    assert "neuron" in text or "layer" in text


def test_what_can_not_be_folded_is_refused():
    x = [Value(float(k)) for k in range(600)]
    with pytest.raises(ValueError, match="more than 500 edges"):
        draw(total(x)).mermaid()
    assert len(edges(draw(total(x), max_nodes=100).mermaid())) <= 500
