"""`step_through`: the steps are the engine's, the page is one file that cannot be broken out of."""

import base64
import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, Constant, Value, dot, maximum, no_grad, squared_error, step_through, total
from micrograd_mlp.render.text import number
from tests.browser.chromium import network

HOSTILE = "</script><img src=x onerror=alert(1)>"
SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draw):
    nodes = [Value(draw(st.floats(-3, 3)), draw(st.sampled_from([None, "x", "v1"]))) for _ in range(2)]
    for _ in range(draw(st.integers(0, 8))):
        x, y = (draw(st.sampled_from(nodes)) for _ in range(2))
        nodes.append(
            draw(st.sampled_from([x + y, x * x, x * 2.0, dot([x, y], [y, x]), maximum(x, y), total([x, y])]))
        )
    return nodes[-1]


def picture_of(page):
    """The static picture, parsed."""
    [encoded] = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)
    return ElementTree.fromstring(base64.b64decode(encoded))


# The steps


@given(graphs())
def test_first_every_value_in_topological_order_then_the_gradients_of_backward(output):
    order = output.topological_order()
    page = step_through(output)
    forward = [step.node for step in page.steps if step.phase == "forward"]
    assert len(forward) == len(order)
    assert all(shown is node for shown, node in zip(forward, order, strict=True))
    assert [step.phase for step in page.steps] == sorted([s.phase for s in page.steps], reverse=True)

    for node in order:
        node.grad = 0.0
    if not isinstance(output, Constant):
        output.backward()
    arrived = {step.node: step.grad for step in page.steps if step.grad is not None}
    for node in order:
        if not isinstance(node, Constant):
            assert arrived[node] == node.grad  # the same float, not a near one


@given(graphs())
def test_backward_goes_edge_by_edge_from_finished_nodes(output):
    steps = [step for step in step_through(output).steps if step.phase == "backward"]
    assert steps[0].node is output
    assert steps[0].edge is None
    last_arrival = {step.node: i for i, step in enumerate(steps)}
    edges = set()
    for i, step in enumerate(steps[1:], 1):
        child, operand = step.edge
        assert child.parents[operand] is step.node
        assert last_arrival[child] < i
        edges.add((id(child), operand))
    wanted = {
        (id(node), i)
        for node in output.topological_order()
        for i, parent in enumerate(node.parents)
        if not isinstance(parent, Constant)
    }
    assert edges == wanted
    assert len(steps) == 1 + len(edges)


@given(graphs())
def test_the_graph_is_left_as_it_was(output):
    order = output.topological_order()
    for i, node in enumerate(order):
        node.grad = float(i)
    before = [(node.data, node.grad, node.label, node.local_grads) for node in order]
    step_through(output).html()
    assert [(node.data, node.grad, node.label, node.local_grads) for node in order] == before


def test_the_lines_of_arithmetic():
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    z = w * x + b
    z.label = "z"
    page = step_through(z * z)
    lines = [step.text for step in page.steps]
    assert "w = 0.5, an input" in lines
    assert "v1 = w · x = 0.5 · 2 = 1" in lines
    assert "z = v1 + b = 1 + (-1) = 0" in lines
    assert "f.grad = ∂f/∂f = 1" in lines
    assert "w.grad += ∂v1/∂w · v1.grad = 2 · 0 = 0" in lines


def test_a_gradient_of_two_parts_is_added_up():
    x = Value(3.0, "x")
    last = step_through(x * x).steps[-1]
    assert last.text == "x.grad += ∂f/∂x · f.grad = 3 · 1 = 3"
    assert last.total == "x.grad = 3 + 3 = 6"
    assert last.exact == "3.0 · 1.0 = 3.0; 3.0 + 3.0 = 6.0"
    assert last.grad == 6.0


def test_names():
    a, other, constant = Value(1.0, "a"), Value(2.0, "a"), 3.0
    y = (a * other) * constant
    lines = [step.text for step in step_through(y).steps]
    assert "3, a constant" in lines
    assert any(" · 3 = " in line and line.startswith("f = ") for line in lines)
    assert {"a = 1, an input", "a#2 = 2, an input"} <= set(lines)


# The page


def test_the_picture_shows_every_number():
    loss = network()
    svg = picture_of(step_through(loss).html())
    boxes = svg.findall(f".//{SVG}g[@data-node]")
    order = loss.topological_order()
    assert len(boxes) == len(order)
    for node in order:
        node.grad = 0.0
    loss.backward()
    for node, box in zip(order, boxes, strict=True):
        texts = {text.get("class"): text.text for text in box.findall(f"{SVG}text")}
        assert texts["data"] == number(node.data)
        title = box.find(f"{SVG}title").text
        if isinstance(node, Constant):
            assert "grad" not in texts
        else:
            assert texts["grad"] == number(node.grad)
            assert title.endswith(f"data {node.data!r}, gradient {node.grad!r}")
    edges = {path.get("data-edge") for path in svg.findall(f".//{SVG}path")}
    assert edges == {f"{i}-{k}" for i, node in enumerate(order) for k in range(len(node.parents))}


def test_a_label_stays_text():
    w = Value(2.0, HOSTILE)
    page = step_through(w * Value(3.0, "]]><b>&amp;\u2028\x1b[31m<!--")).html()

    class Tags(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.seen = []

        def handle_starttag(self, tag, attributes):
            self.seen.append((tag, dict(attributes)))

    parser = Tags()
    parser.feed(page)
    assert [tag for tag, _ in parser.seen].count("script") == 1
    images = [attributes for tag, attributes in parser.seen if tag == "img"]
    assert len(images) == 1
    assert images[0]["src"].startswith("data:image/svg+xml;base64,")
    assert not any(key.startswith("on") for _, attributes in parser.seen for key in attributes)
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert "<!--" not in script
    data = json.loads(re.search(r'getElementById\("steps-\w+"\), (\{.*\})\);$', script)[1])
    assert HOSTILE in [node["name"] for node in data["nodes"]]
    titles = [title.text for title in picture_of(page).iter(f"{SVG}title")]
    assert f"{HOSTILE}: data 2.0, gradient 3.0" in titles


def test_nothing_on_the_page_names_another_place():
    page = step_through(network()).html()
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//\w+\.\w|@import|url\(", without_namespaces)
    assert "default-src 'none'" in page
    assert "<!-- steps -->" not in page


def test_every_display_has_an_id_of_its_own():
    page = step_through(network())
    first, second = (page._repr_mimebundle_()["text/html"] for _ in range(2))
    pattern = r'<div id="(steps-\w+)">'
    assert re.search(pattern, first)[1] != re.search(pattern, second)[1]
    assert first.startswith("<div id=")
    assert "Content-Security-Policy" not in first
    assert page._repr_mimebundle_()["text/plain"] == repr(page)


def test_a_picture_survives_where_scripts_and_styles_are_dropped():
    loss = network()
    fragment = step_through(loss)._repr_mimebundle_()["text/html"]
    kept = re.sub(r"<(script|style)\b.*?</\1>", "", fragment, flags=re.DOTALL)
    assert re.search(r'<img alt="Graph of ℓ with the gradients [^"]*W1\[1,1\]: 0.02919', kept)
    assert len(picture_of(kept).findall(f".//{SVG}g[@data-node]")) == len(loss.topological_order())


def test_saving_replaces_the_file_and_refuses_other_kinds(tmp_path):
    file = tmp_path / "steps.html"
    file.write_text("old")
    page = step_through(network())
    page.save(file)
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["steps.html"]
    with pytest.raises(ValueError, match=r"saved as \.html"):
        page.save(tmp_path / "steps.png")


def test_infinities_and_long_names_fit():
    x = Value(1e308, "a label that is far too long for a box")
    svg = picture_of(step_through(x * 10.0).html())
    texts = [text.text or "" for text in svg.iter(f"{SVG}text")]
    assert "inf" in texts
    assert "a label that…" in texts
    assert max(map(len, texts)) <= 13


# Wrong use


def test_a_graph_too_large_to_be_seen_is_refused_with_its_size():
    loss = squared_error(MLP(20, [30, 1], seed=0)([1.0] * 20), 0.0)
    size = len(loss.topological_order())
    with pytest.raises(
        ValueError, match=f"at most 500 nodes, and this graph has {size:,}: pass an inner node"
    ):
        step_through(loss)
    assert len(step_through(loss, max_nodes=size).steps) > size


def test_numbers_that_no_longer_belong_together_are_refused():
    w = Value(2.0, "w")
    y = w * 3.0
    w.data = 5.0
    with pytest.raises(ValueError, match=r"mul gave 6\.0 when it was computed and gives 15\.0 now"):
        step_through(y)


def test_only_values():
    with pytest.raises(TypeError, match="output must be a Value, got \\["):
        step_through([Value(1.0)])


def test_nan_and_no_grad():
    x = Value(-1.0, "x")
    assert "nan" in step_through(x.sqrt() + 1.0).steps[-1].text
    with no_grad():
        assert len(step_through(x * 2.0).steps) == 2
