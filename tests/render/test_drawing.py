"""`draw`: a graph as a picture."""

import base64
import itertools
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_mlp import MLP, Constant, Op, Parameter, Value, draw, relu, total
from micrograd_mlp.nn.losses import mean, squared_error
from micrograd_mlp.render import graphviz_backend
from micrograd_mlp.render.text import printable

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
RENDERERS = {"system": graphviz_backend.system_dot(), "packaged": graphviz_backend.packaged_dot()}
if sys.platform == "emscripten":
    RENDERERS = {"browser": "graphviz.js"}


def use(renderer, monkeypatch):
    """Draw with one program alone: Debian's or Homebrew's dot, or that of graphviz-pure."""
    if renderer is not None and RENDERERS[renderer] is None:
        pytest.skip(f"the {renderer} renderer is not installed")
    for name, path in RENDERERS.items():
        found = path if name == renderer else None
        monkeypatch.setattr(graphviz_backend, f"{name}_dot", lambda p=found: p, raising=name != "browser")


@pytest.fixture(params=RENDERERS)
def renderer(request, monkeypatch):
    use(request.param, monkeypatch)
    return request.param


@pytest.fixture
def no_renderer(monkeypatch):
    use(None, monkeypatch)


class Picture:
    """What someone who looks at an SVG sees."""

    def __init__(self, drawing):
        root = ElementTree.fromstring(drawing.svg())
        self.tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        groups = {kind: [] for kind in ("node", "edge", "cluster")}
        for group in root.iter(f"{SVG}g"):
            if group.get("class") in groups:
                groups[group.get("class")].append(group)
        self.nodes, self.edges, self.frames = groups.values()

    def node(self, text):
        [found] = [node for node in self.nodes if text in texts(node)]
        return found


def texts(element):
    return [(text.text or "").replace("\xa0", " ") for text in element.iter(f"{SVG}text")]


def tooltips(element):
    return [link.get(f"{XLINK}title") for link in element.iter(f"{SVG}a") if link.get(f"{XLINK}title")]


def highlighted(element):
    return any(e.get("stroke-width") == "2.5" for e in element.iter())


def outline(node):
    """The shape and the fill of a node."""
    shape = next(e for e in node.iter() if e.get("fill", "none") != "none" and not e.tag.endswith("text"))
    corners = len(shape.get("points", "").split())
    return shape.tag, corners, shape.get("fill")


def two_layers(sizes=(2, 1), example=(1.0, -2.0)):
    model = MLP(2, list(sizes), activation="tanh", seed=1)
    loss = squared_error(model(example), 1.0)
    loss.label = "loss"
    loss.backward()
    return model, loss


def batch():
    model = MLP(2, [2, 1], activation="tanh", seed=1)
    loss = mean([squared_error(model(x), 1.0) for x in ([1.0, 2.0], [3.0, 1.0], [0.0, 1.0])])
    loss.backward()
    return model, loss


# What a node and an edge show


def test_every_node_shows_its_label_its_data_and_its_gradient(renderer):
    w, x = Value(0.5, "w"), Value(2.25, "x")
    z = w * x
    z.label = "z"
    z.backward()
    picture = Picture(draw(z))
    assert texts(picture.node("w")) == ["w", "data", "0.5", "grad", "2.25"]
    assert texts(picture.node("z")) == ["×", "z", "data", "1.125", "grad", "1"]


def test_kinds_differ_in_shape_and_in_colour(renderer):
    kinds = [Value(1.0, "x"), Parameter(1.0, "w"), Constant(1.0, "c")]
    total(kinds).backward()
    picture = Picture(draw(total(kinds)))
    outlines = [outline(picture.node(text)) for text in ("x", "w", "c = 1", "Σ")]
    assert len({(tag, corners) for tag, corners, _ in outlines}) == 4
    assert len({fill for _, _, fill in outlines}) == 4


def test_numbers_have_four_digits_and_tooltips_all_of_them(renderer):
    x = Value(1 / 3, "x")
    y = x * 1e-7
    y.backward()
    node = Picture(draw(y)).node("x")
    assert texts(node) == ["x", "data", "0.3333", "grad", "1e-07"]
    assert tooltips(node) == ["x (input)\ndata 0.3333333333333333\ngrad 1e-07"]
    assert "0.33" in texts(Picture(draw(y, digits=2)).node("x"))


def test_local_derivatives_stand_on_the_edges_on_request(renderer):
    w, x = Value(0.5, "w"), Value(2.25, "x")
    z = w * x
    z.label = "z"
    assert [texts(edge) for edge in Picture(draw(z)).edges] == [[], []]
    with_local = Picture(draw(z, local=True))
    assert sorted(texts(edge) for edge in with_local.edges) == [["∂ 0.5"], ["∂ 2.25"]]
    assert {tip for edge in with_local.edges for tip in tooltips(edge)} == {"∂z/∂w = 2.25", "∂z/∂x = 0.5"}


def test_a_parent_used_twice_has_two_edges_and_a_constant_none_with_a_derivative(renderer):
    x = Value(3.0, "x")
    assert sorted(texts(edge) for edge in Picture(draw(x * x, local=True)).edges) == [["∂ 3"], ["∂ 3"]]
    power = Picture(draw(Value(-3.0, "x") ** 2, local=True))  # ∂/∂2 would be nan
    assert sorted(texts(edge) for edge in power.edges) == [[], ["∂ -6"]]


def test_a_drawing_keeps_the_numbers_of_its_moment():
    x = Value(3.0, "x")
    drawing = draw(x * 2)
    before = drawing.source
    x.data = 4.0
    assert drawing.source == before
    assert draw(x * 2).source != before


@pytest.mark.parametrize(("rankdir", "axis"), [("LR", "x"), ("TB", "y")])
def test_the_graph_runs_from_left_to_right_or_down(renderer, rankdir, axis):
    picture = Picture(draw(Value(3.0, "x").tanh(), rankdir=rankdir))

    def place(text):
        [label] = [t for t in picture.node(text).iter(f"{SVG}text") if t.text == text]
        return float(label.get(axis))

    assert place("x") < place("tanh")


# Neurons and layers


def test_neurons_are_framed_under_their_names(renderer):
    _, loss = two_layers()
    picture = Picture(draw(loss, group_by="neuron"))
    assert sorted(texts(frame) for frame in picture.frames) == [
        ["neuron 1 of layer 1", "z1[1] = Σ W1[1,k] x[k] + b1[1], a1[1] = tanh(z1[1])"],
        ["neuron 1 of layer 2", "z2[1] = Σ W2[1,k] a1[k] + b2[1]"],
        ["neuron 2 of layer 1", "z1[2] = Σ W1[2,k] x[k] + b1[2], a1[2] = tanh(z1[2])"],
    ]
    assert len(picture.nodes) == len(loss.topological_order())


def test_layers_are_framed_under_the_equations_of_section_3(renderer):
    _, loss = two_layers()
    assert sorted(texts(frame) for frame in Picture(draw(loss, group_by="layer")).frames) == [
        ["layer 1", "z1 = W1 x + b1, a1 = tanh(z1)"],
        ["layer 2", "z2 = W2 a1 + b2"],
    ]


def test_a_folded_neuron_shows_z_a_delta_and_its_gradient_norm(renderer):
    model, loss = two_layers()
    nodes = {node.label: node for node in loss.topological_order()}
    z, a = nodes["z1[2]"], nodes["a1[2]"]
    norm = math.sqrt(sum(p.grad**2 for p in model.layers[0].neurons[1].parameters()))
    picture = Picture(draw(loss, collapse="neuron"))
    assert texts(picture.node("neuron 2 of layer 1")) == [
        "neuron 2 of layer 1",
        *("z1[2]", f"{z.data:.4g}"),
        *("a1[2]", f"{a.data:.4g}"),
        *("δ1[2]", f"{z.grad:.4g}"),
        *("‖grad‖", f"{norm:.4g}"),
    ]
    assert not any("W1[2,1]" in texts(node) for node in picture.nodes)
    assert len(picture.nodes) == 2 + 3 + 6  # inputs, neurons, and the loss with its constants


def test_a_folded_layer_shows_vectors(renderer):
    _, loss = two_layers((6, 1))
    z = {node.label: node.data for node in loss.topological_order()}
    shown = texts(Picture(draw(loss, collapse="layer")).node("layer 1"))
    assert shown[2] == ", ".join(f"{z[f'z1[{j}]']:.4g}" for j in (1, 2, 3, 4)) + ", … (6)"
    assert [shown[0], *shown[1::2]] == ["layer 1", "z1", "a1", "δ1", "‖grad‖"]


def test_a_batch_has_a_box_for_each_neuron_and_example_and_one_for_shared_parameters(renderer):
    model, loss = batch()
    picture = Picture(draw(loss, collapse="neuron"))
    titles = sorted(title for node in picture.nodes if " of " in (title := texts(node)[0]))
    names = ["neuron 1 of layer 1", "neuron 1 of layer 2", "neuron 2 of layer 1"]
    assert titles == sorted(
        [f"{name}, example {i}" for name in names for i in (1, 2, 3)]
        + [f"parameters of {name}" for name in names]
    )
    norm = math.sqrt(sum(p.grad**2 for p in model.layers[0].neurons[0].parameters()))
    assert texts(picture.node("parameters of neuron 1 of layer 1"))[-1] == f"{norm:.4g}"
    in_example_2 = picture.node("neuron 1 of layer 2, example 2")
    z = [node for node in loss.topological_order() if node.label == "z2[1]"]
    assert texts(in_example_2)[2] in {f"{node.data:.4g}" for node in z}


def test_layers_frame_folded_neurons_and_folded_layers_need_no_frame(renderer):
    _, loss = two_layers()
    assert len(Picture(draw(loss, collapse="neuron", group_by="layer")).frames) == 2
    for group_by in ("neuron", "layer"):
        assert Picture(draw(loss, collapse="layer", group_by=group_by)).frames == []


def test_a_graph_without_names_is_drawn_flat():
    x = Value(3.0)
    y = (x * x).tanh()
    assert draw(y, group_by="neuron").source == draw(y).source == draw(y, collapse="layer").source


# Paths


def test_highlight_marks_every_path_and_nothing_else(renderer):
    a, b = Value(2.0, "a"), Value(3.0, "b")
    left, right = a * b, a.tanh()
    left.label, right.label = "left", "right"
    loss = left + right
    loss.label = "loss"
    picture = Picture(draw(loss, highlight=a))
    assert [highlighted(picture.node(name)) for name in ("a", "left", "right", "loss", "b")] == [True] * 4 + [
        False
    ]
    marked = {tip.split(" = ")[0] for edge in picture.edges if highlighted(edge) for tip in tooltips(edge)}
    assert marked == {"∂left/∂a", "∂right/∂a", "∂loss/∂left", "∂loss/∂right"}


def test_highlight_goes_through_folded_neurons(renderer):
    model, loss = two_layers()
    picture = Picture(draw(loss, collapse="neuron", highlight=model.layers[0].neurons[1].w[0]))
    assert [
        highlighted(picture.node(f"neuron {j} of layer {layer}")) for layer, j in ((1, 1), (1, 2), (2, 1))
    ] == [False, True, True]


def test_a_cut_keeps_the_highlighted_path():
    x = Value(1.0, "far")
    y = x
    for _ in range(10):
        y = (y * 1.5).tanh()
    assert "far" not in draw(y, max_nodes=21).source
    assert "far" in draw(y, max_nodes=21, highlight=x).source


def test_a_cut_fills_what_the_highlighted_path_leaves_with_the_nodes_that_are_nearest():
    x = Value(1.0, "x")
    y = total([x * 2.0, Value(1.0, "near"), Value(2.0, "next"), Value(3.0, "last")])
    source = draw(y, max_nodes=4, highlight=x).source  # the path has three nodes
    assert "near" in source
    assert "next" not in source


# Large graphs


def test_a_large_graph_is_cut_with_a_count_of_the_rest(renderer):
    y = Value(1.0)
    for _ in range(10_000):
        y = y + 1.0
    picture = Picture(draw(y, max_nodes=100))
    assert len(picture.nodes) == 101
    assert texts(picture.node("19,901 more nodes"))
    assert Picture(draw(y, depth=1)).node("19,998 more nodes") is not None


def test_depth_shows_what_is_near_the_output(renderer):
    x, w = Value(1.0, "x"), Value(2.0, "w")
    z = w * x
    z.label = "z"
    a = z.tanh()
    a.label = "a"
    picture = Picture(draw(a, depth=1))
    assert sorted(
        next(text for text in texts(node) if text != "tanh" and text != "×") for node in picture.nodes
    ) == [
        "2 more nodes",
        "a",
        "z",
    ]
    assert len(Picture(draw(a, depth=0)).nodes) == 2
    assert "more node" not in draw(a, depth=2).source


def test_nothing_hidden_says_nothing():
    assert "more node" not in draw(Value(1.0) + 2.0, max_nodes=3).source
    assert "1 more node" in draw(Value(1.0) + 2.0, max_nodes=2).source


@given(st.data())
@settings(max_examples=20)
def test_hidden_and_shown_nodes_are_all_nodes(data):
    nodes = [Value(1.0)]
    for _ in range(data.draw(st.integers(1, 30))):
        a, b = (nodes[data.draw(st.integers(0, len(nodes) - 1))] for _ in range(2))
        nodes.append(a * b)
    limit = data.draw(st.integers(1, 40))
    source = draw(nodes[-1], max_nodes=limit).source
    shown = len(re.findall(r"^\tn\d+ \[", source, re.MULTILINE))
    hidden = re.search(r"(\d+) more node", source)
    assert shown + (int(hidden[1]) if hidden else 0) == len(nodes[-1].topological_order())
    assert shown == min(limit, len(nodes[-1].topological_order()))


# Labels


HOSTILE = [
    "\"quotes\" and 'apostrophes'",
    "{braces} | pipes <ports>",
    "a  run of   spaces",
    "two\nlines\r\nand\ttabs",
    r"\n \l \N \G a back\slash at the end\\",
    "</script><img src=x onerror=alert(1)>",
    "<b>bold</b>",
    "<<TABLE></TABLE>>",
    "]]> --> <!-- <![CDATA[",
    "&lt;script&gt; &amp; &#60;",
    '"]; evil [label="',
    "javascript:alert(1)",
    "\x00\x08\x1b[31m",
    "\ud800",
    "‮right to left",
    "层 ∂ℓ é 🙂",
    " ",
    "%s {0} $x",
]
ALLOWED = {"svg", "style", "g", "title", "a", "path", "polygon", "polyline", "ellipse", "text"}


def assert_harmless(labels):
    """Each label is one node's text, and nothing but text."""
    values = [Value(float(i), label) for i, label in enumerate(labels)]
    output = total(values)
    output.label = labels[0]
    picture = Picture(draw(output, local=True))
    assert picture.tags <= ALLOWED
    assert len(picture.nodes) == len(labels) + 1
    assert len(picture.edges) == len(labels)
    squeezed = [re.sub(r"\s", "", text) for node in picture.nodes for text in texts(node)]
    for label in labels:
        if shown := re.sub(r"\s", "", printable(label, 32)):
            assert shown in squeezed
    for elements in (picture.nodes, picture.edges):
        tips = _with_spaces("\n".join(tip for element in elements for tip in tooltips(element)))
        assert all(_with_spaces(printable(label)) in tips for label in labels)


def _with_spaces(text):
    """The text, where Graphviz has put spaces that do not break the line for a run of spaces."""
    return text.replace("\xa0", " ")


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_is_text_whatever_it_holds(renderer, label):
    assert_harmless([label])


@pytest.mark.parametrize("renderer_name", RENDERERS)
@given(
    st.lists(
        st.text(st.characters() | st.sampled_from("<>&\"'\\{}|[];#%\n"), max_size=30), min_size=1, max_size=20
    )
)
@settings(max_examples=20)
def test_any_label_is_text(renderer_name, labels):
    with pytest.MonkeyPatch.context() as patch:
        use(renderer_name, patch)
        assert_harmless(labels)


def test_ten_thousand_letters_are_cut(renderer):
    for letters in ("a" * 10_000, "&" * 10_000, "\\" * 10_000, "\0" * 10_000, "🙂" * 10_000):
        picture = Picture(draw(Value(1.0, letters) * 2.0, local=True))
        [shown] = [text for node in picture.nodes for text in texts(node) if text.endswith("…")]
        assert len(shown) == 32


def test_symbols_of_own_operations_and_names_of_inputs_are_harmless_too(renderer):
    odd = Op('<&"\\n', lambda x: x, lambda out, x: (1.0,))
    model = MLP(1, [1], activation="relu", output_activation=odd, seed=0)
    y = model([Value(1.0, '<i>&"[1]')])
    for group_by, collapse in itertools.product(("neuron", "layer", None), repeat=2):
        assert Picture(draw(y, group_by=group_by, collapse=collapse)).tags <= ALLOWED
    nameless = Op("", lambda x: x, lambda out, x: (1.0,))
    assert texts(Picture(draw(nameless(y), depth=0)).node("op"))[0] == "op"


# Files and notebooks


def test_save_writes_what_the_name_says(renderer, tmp_path):
    drawing = draw(Value(3.0, "x").tanh())
    for name, start in (
        ("a.svg", b"<?xml"),
        ("a.png", b"\x89PNG\r\n"),
        ("a.dot", b"digraph"),
        ("A.SVG", b"<?xml"),
    ):
        drawing.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    drawing.save(str(tmp_path / "b.svg"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.SVG", "a.dot", "a.png", "a.svg", "b.svg"]


def test_pdf_needs_the_system_s_graphviz(renderer, tmp_path):
    drawing, path = draw(Value(3.0, "x").tanh()), tmp_path / "a.pdf"
    if renderer == "system":
        drawing.save(path)
        assert path.read_bytes().startswith(b"%PDF")
    else:
        with pytest.raises(ImportError, match=r"PDF needs Graphviz itself.*apt install graphviz"):
            drawing.save(path)
        assert not path.exists()


def test_an_unknown_end_of_a_name_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"'.*graph.jpg': .*saved as .svg, .png, .pdf, .dot or .tex"):
        draw(Value(1.0)).save(tmp_path / "graph.jpg")


def test_a_file_survives_a_failure(monkeypatch, tmp_path):
    path = tmp_path / "graph.svg"
    path.write_text("old")
    failing = tmp_path / "dot"
    failing.write_text("#!/bin/sh\ncat > /dev/null\necho 'out of ink' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(graphviz_backend, "system_dot", lambda: str(failing))
    with pytest.raises(RuntimeError, match="could not draw the graph: out of ink"):
        draw(Value(1.0)).save(path)
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dot", "graph.svg"]


def test_graphviz_has_a_time_limit(monkeypatch, tmp_path):
    endless = tmp_path / "dot"
    endless.write_text("#!/bin/sh\nexec sleep 60\n")
    endless.chmod(0o755)
    monkeypatch.setattr(graphviz_backend, "system_dot", lambda: str(endless))
    monkeypatch.setattr(graphviz_backend, "_TIME_LIMIT", 0.1)
    with pytest.raises(RuntimeError, match=r"did not draw the graph within .* seconds: draw fewer nodes"):
        draw(Value(1.0)).svg()


def test_a_notebook_gets_one_picture_that_needs_no_trust(renderer):
    bundle = draw(Value(3.0, "x").tanh())._repr_mimebundle_(include=None, exclude=None)
    assert bundle.keys() == {"text/plain", "text/html"}
    assert bundle["text/plain"].startswith("<Drawing")
    image = r'<img alt="&lt;Drawing[^"]*" style="[^"]*" src="data:image/svg\+xml;base64,([^"]+)">'
    [encoded] = re.findall(image, bundle["text/html"])
    root = ElementTree.fromstring(base64.b64decode(encoded))
    assert "tanh" in texts(root)


def test_a_wide_picture_scrolls_instead_of_shrinking_until_it_cannot_be_read(renderer):
    y = Value(1.0, "x")
    for _ in range(30):
        y = y.tanh()
    least = int(re.search(r"min-width: (\d+)px", draw(y).html())[1])
    assert least > 1500


def test_a_drawing_has_dark_fills_for_a_dark_page(renderer):
    svg = draw(Value(3.0, "x").tanh()).svg()
    [style] = re.findall(r"<style>(.*?)</style>", svg)
    assert style.startswith("@media (prefers-color-scheme: dark)")
    fills = set(re.findall(r' fill="(#\w+)"', svg))
    replaced = set(re.findall(r'\[fill="(#\w+)"\]', style))
    assert {"#d6e8fd", "#dcf3e1", "#1f2430"} <= fills & replaced  # an input, an operation, text


def test_without_graphviz_the_error_names_both_ways_to_install(no_renderer, tmp_path):
    drawing = draw(Value(3.0, "x").tanh())
    for show in (drawing.svg, drawing.png, lambda: drawing.save(tmp_path / "a.svg")):
        with pytest.raises(ImportError, match=r'pip install "micrograd_mlp\[draw\]".*apt install graphviz'):
            show()
    bundle = drawing._repr_mimebundle_()
    assert bundle.keys() == {"text/plain"}
    assert "pip install" in bundle["text/plain"]


def test_without_graphviz_the_dot_text_is_still_there(no_renderer, tmp_path):
    drawing = draw(Value(3.0, "x").tanh())
    drawing.save(tmp_path / "a.dot")
    assert (tmp_path / "a.dot").read_text() == drawing.source
    assert "tanh" in drawing.source


def test_the_packaged_program_is_found_without_a_path(monkeypatch):
    if RENDERERS.get("packaged") is None:
        pytest.skip("graphviz-pure is not installed")
    monkeypatch.setenv("PATH", "")
    assert graphviz_backend.system_dot() is None
    assert b"<svg" in graphviz_backend.render("digraph { a -> b }", "svg")


def test_the_package_is_imported_without_graphviz():
    program = "import sys, micrograd_mlp; sys.exit('graphviz' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rankdir": "RL"}, ValueError, "rankdir must be 'LR' or 'TB', got 'RL'"),
        ({"group_by": "network"}, ValueError, "group_by must be 'neuron', 'layer' or None, got 'network'"),
        ({"collapse": True}, ValueError, "collapse must be .* got True"),
        ({"max_nodes": 0}, ValueError, "max_nodes must be 1 or more, got 0"),
        ({"max_nodes": None}, TypeError, "max_nodes must be an int, got None"),
        ({"depth": -1}, ValueError, "depth must be 0 or more, got -1"),
        ({"depth": 1.5}, TypeError, "depth must be an int, got 1.5"),
        ({"digits": 0}, ValueError, "digits must be 1 or more, got 0"),
        ({"highlight": "x"}, TypeError, "highlight must be a Value, got 'x'"),
        ({"highlight": Value(1.0, "other")}, ValueError, "highlight: other is not in this graph"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_is_right(options, error, message):
    with pytest.raises(error, match=message):
        draw(relu(Value(1.0)), **options)


@pytest.mark.parametrize("value", [1.0, None, "x", [Value(1.0)]])
def test_only_a_value_has_a_graph(value):
    with pytest.raises(TypeError, match="value must be a Value, got"):
        draw(value)
