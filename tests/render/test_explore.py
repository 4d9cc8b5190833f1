"""`explore` and `step_through`: one file that no label breaks out of, and the scene written down."""

import base64
import html.parser
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from micrograd_mlp import MLP, Constant, Op, Value, dot, explore, mean, no_grad, squared_error, step_through
from micrograd_mlp.render import graphviz_backend
from micrograd_mlp.render.description import describe
from micrograd_mlp.render.scene import Scene
from tests.browser.chromium import network

HOSTILE = "</script><img src=x onerror=alert(1)>"
PAGES = pytest.mark.parametrize("page_of", [explore, step_through])


def description(output):
    return describe(Scene(output))[0]


# The scene, written down


def test_nodes_stand_in_topological_order_with_their_names_and_parents():
    w, x = Value(0.5, "w"), Value(2.0, "x")
    output = (w * x + 1.0).tanh()
    data = description(output)
    order = output.topological_order()
    assert [node["data"] for node in data["nodes"]] == [node.data for node in order]
    assert [[order[i] for i in node["parents"]] for node in data["nodes"]] == [list(n.parents) for n in order]
    assert {node["name"] for node in data["nodes"]} == {"w", "x", "v1", "v2", "f", None}
    [number] = [node for node in data["nodes"] if node["name"] is None]
    assert (number["kind"], number["data"]) == ("constant", 1.0)


def test_an_operation_and_a_rule_are_written_once_however_often_they_are_used():
    x = Value(2.0, "x")
    data = description((x * x) * (x * 3.0))
    assert [op["name"] for op in data["ops"]] == ["mul"]
    assert data["partials"] == [[["operand", 1], ["operand", 0]], [["operand", 0], ["operand", 0]]]


def test_rules_are_formulas_in_the_output_and_the_operands():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    [rule] = description(x / y)["partials"]
    names = [op["name"] for op in description(x / y)["ops"]]
    div, neg = names.index("div"), names.index("neg")
    assert rule == [
        ["op", div, ["number", 1.0], ["operand", 1]],
        ["op", neg, ["op", div, ["out"], ["operand", 1]]],
    ]
    assert description(x.tanh())["partials"] == [[["prime"]]]
    assert description(x.relu())["partials"] == [[None]]  # a rule that gives a plain number


def test_layers_hold_their_neurons_and_a_single_neuron_needs_no_layer():
    data = description(squared_error(MLP(2, [3, 1], activation="tanh", seed=0)([1.0, 2.0]), 0.0))
    titles = [(group["title"], group["parent"]) for group in data["groups"]]
    assert titles == [
        ("layer 1", None),
        *((f"neuron {j} of layer 1", 0) for j in (1, 2, 3)),
        ("neuron 1 of layer 2", None),
    ]
    layer = data["groups"][0]
    assert [quantity["symbol"]["letter"] for quantity in layer["quantities"]] == ["z", "a", "δ"]
    assert [data["nodes"][i]["name"] for i in layer["quantities"][1]["nodes"]] == ["a1[1]", "a1[2]", "a1[3]"]


def test_parameters_that_examples_share_have_a_group_of_their_own():
    model = MLP(1, [2, 1], seed=0)
    data = description(mean([squared_error(model([x]), 0.0) for x in (1.0, 2.0)]))
    titles = [group["title"] for group in data["groups"]]
    assert "parameters of layer 1" in titles
    assert "layer 1, example 2" in titles
    seen = [i for group in data["groups"] if group["parent"] is None for i in group["nodes"]]
    assert len(seen) == len(set(seen))


def test_an_operation_that_has_no_javascript_says_why_and_keeps_its_numbers():
    def look_up(x):
        return {1.0: 5.0}[x]

    op = Op("look_up", forward=look_up, partials=lambda out, x: (7.0,))
    data = description(op(Value(1.0, "x")) * 2.0)
    [problem] = [op["problem"] for op in data["ops"] if op["name"] == "look_up"]
    assert "look_up" in problem
    [node] = [node for node in data["nodes"] if "locals" in node]
    assert (node["data"], node["locals"]) == (5.0, (7.0,))


def test_a_node_whose_derivatives_were_given_keeps_its_numbers():
    data = description(Value(7.0, (Value(2.0, "x"),), (3.5,)) + 1.0)
    [problem] = [op["problem"] for op in data["ops"] if op["name"] == "given"]
    assert problem == "its local derivatives were given as numbers"
    [node] = [node for node in data["nodes"] if "locals" in node]
    assert (node["data"], node["locals"]) == (7.0, (3.5,))


def test_an_operation_of_the_users_own_becomes_javascript():
    cube = Op("cube", forward=lambda x: x**3, partials=lambda out, x: (3.0 * x**2,))
    data, functions = describe(Scene(cube(Value(2.0, "x"))))
    assert data["ops"][0]["problem"] is None
    assert re.search(r"return \[\{ forward: cube, partials: cube_partials \}", functions)


# The page


@PAGES
def test_the_graph_is_left_as_it_was(page_of):
    loss = network()
    order = loss.topological_order()
    for i, node in enumerate(order):
        node.grad = float(i)
    before = [(node.data, node.grad, node.label, node.local_grads) for node in order]
    page_of(loss).html()
    assert [(node.data, node.grad, node.label, node.local_grads) for node in order] == before


class Tags(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


@PAGES
def test_a_label_stays_text(page_of):
    hostile = Value(2.0, HOSTILE) * Value(3.0, "]]><b>&amp;\u2028\x1b[31m<!--")
    hostile.label = "<u>"
    page = page_of(hostile).html()
    seen = Tags(page).seen
    assert [tag for tag, _ in seen].count("script") == 1
    assert not {"img", "b", "u"} & {tag for tag, _ in seen}
    assert not any(key.startswith("on") for _, attributes in seen for key in attributes)
    assert "Backpropagation of &lt;u&gt;" in page
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert "<!--" not in script
    assert json.dumps(HOSTILE).replace("<", r"\u003c") in script


@PAGES
def test_nothing_on_the_page_names_another_place(page_of):
    page = page_of(network()).html()
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|url\(|import\(|fetch\(", without_namespaces)
    assert "default-src 'none'" in page
    assert "<!-- " not in page


def test_every_display_has_an_id_of_its_own():
    page = explore(network())
    first, second = (page._repr_mimebundle_()["text/html"] for _ in range(2))
    pattern = r'<div id="(micrograd-mlp-\w+)">'
    assert re.search(pattern, first)[1] != re.search(pattern, second)[1]
    assert first.startswith("<div id=")
    assert "Content-Security-Policy" not in first
    assert page._repr_mimebundle_()["text/plain"] == repr(page)


def still_part(page):
    """What a notebook that is not trusted keeps."""
    fragment = page._repr_mimebundle_()["text/html"]
    return re.sub(r"<(script|style)\b.*?</\1>", "", fragment, flags=re.DOTALL)


def test_a_still_picture_stands_where_scripts_are_dropped():
    kept = still_part(explore(network()))
    assert '<img alt="Graph of ℓ, 25 nodes"' in kept
    assert "This is a still picture. Run this cell to change its numbers." in kept
    [encoded] = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", kept)
    root = ElementTree.fromstring(base64.b64decode(encoded))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "W1[1,1]" in texts


def test_a_page_that_is_shown_after_its_graph_has_changed_has_no_picture_of_other_numbers():
    w = Value(2.0, "w")
    page = explore(w * 3.0)
    w.data = 5.0
    assert "<img" not in still_part(page)
    assert "Run this cell" in still_part(page)


def test_without_graphviz_the_still_picture_is_a_tree(monkeypatch):
    monkeypatch.setattr(graphviz_backend, "system_dot", lambda: None)
    monkeypatch.setattr(graphviz_backend, "packaged_dot", lambda: None)
    kept = still_part(explore(Value(2.0, "<i>") * 3.0))
    assert "<pre>f = ×  data=6\n├── &lt;i&gt;  data=2\n└── 3</pre>" in kept


def test_saving_replaces_the_file_and_refuses_other_kinds(tmp_path):
    file = tmp_path / "explore.html"
    file.write_text("old")
    page = explore(network())
    page.save(file)
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["explore.html"]
    with pytest.raises(ValueError, match=r"saved as \.html"):
        page.save(tmp_path / "explore.png")


def test_numbers_beyond_json_reach_the_page():
    page = explore(Value(float("inf"), "x") * Value(float("nan"), "y")).html()
    assert '"data": Infinity' in page
    assert '"data": NaN' in page


def test_a_number_computed_under_no_grad_is_a_page_of_one_node():
    with no_grad():
        assert repr(explore(Value(2.0) * 3.0)).startswith("<Explorer: 1 nodes")


# Wrong use


@PAGES
def test_a_graph_too_large_to_be_shown_is_refused_with_its_size(page_of):
    y = dot([Value(1.0)] * 20, [Constant(2.0)] * 20)
    size = len(y.topological_order())
    with pytest.raises(
        ValueError, match=f"at most {size - 1} nodes, and this graph has {size}: pass an inner"
    ):
        page_of(y, max_nodes=size - 1)
    page_of(y, max_nodes=size)


@PAGES
def test_only_values(page_of):
    with pytest.raises(TypeError, match=r"output must be a Value, got \["):
        page_of([Value(1.0)])
