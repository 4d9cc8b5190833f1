"""`draw`: a graph as a picture."""

from xml.etree import ElementTree

import pytest

from micrograd_mlp import Value, draw
from micrograd_mlp.render import graphviz_backend


@pytest.fixture(params=["system", "packaged"])
def renderer(request, monkeypatch):
    """Draws with Debian's or Homebrew's dot, then with the graphviz-pure wheel."""
    if request.param == "system":
        if graphviz_backend.system_dot() is None:
            pytest.skip("Graphviz is not installed")
        monkeypatch.setattr(graphviz_backend, "packaged_dot", lambda: None)
    else:
        if graphviz_backend.packaged_dot() is None:
            pytest.skip("graphviz-pure is not installed")
        monkeypatch.setattr(graphviz_backend, "system_dot", lambda: None)
    return request.param


def texts(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_node_shows_its_label_its_data_and_its_gradient(renderer):
    w, x = Value(0.5, "w"), Value(2.25, "x")
    (w * x).backward()
    shown = texts(draw(w * x).svg())
    assert {"w", "x", "*", "data", "grad", "0.5", "2.25", "1.125"} <= set(shown)
