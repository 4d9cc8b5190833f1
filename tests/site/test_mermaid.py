"""Flowcharts in Mermaid's own words, drawn by its npm package, which the build of the site has installed."""

import os
from pathlib import Path

import pytest

from micrograd_mlp import MLP, Value, draw, squared_error
from tests.browser.chromium import chromium

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("MICROGRAD_MLP_SITE", ROOT / "site"))
MERMAID = SITE.parent / ".site_assets" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    assert MERMAID.exists(), f"{MERMAID} is missing: build the site first"
    file = tmp_path_factory.mktemp("mermaid") / "page.html"
    file.write_text(
        f'<meta charset="utf-8"><body><script src="{MERMAID.as_uri()}"></script>', encoding="utf-8"
    )
    with chromium("--allow-file-access-from-files") as driver:
        driver.set_script_timeout(60)
        driver.get(file.as_uri())
        yield driver


def drawn(page, flowchart):
    """The text in the picture, or Mermaid's error."""
    return page.execute_async_script(
        """
        const [flowchart, done] = arguments;
        mermaid.initialize({startOnLoad: false, securityLevel: 'strict', maxEdges: 500});
        mermaid.render('graph' + Math.floor(performance.now()), flowchart).then(({svg}) => {
            document.body.innerHTML = svg;
            done(document.body.innerText);
        }, error => done('ERROR ' + error));
        """,
        flowchart,
    )


def network(sizes):
    model = MLP(2, sizes, activation="tanh", seed=0)
    loss = squared_error(model([Value(1.0, "x[1]"), Value(-2.0, "x[2]")]), Value(1.0, "y"))
    loss.label = "ℓ"
    loss.backward()
    return loss


@pytest.mark.parametrize("sizes", [[1], [2, 1], [8, 8, 1], [40, 40, 1]])
def test_a_network_is_drawn(page, sizes):
    text = drawn(page, draw(network(sizes)).mermaid())
    assert not text.startswith("ERROR"), text
    assert "ℓ" in text


@pytest.mark.parametrize(
    "label", ['a"b', "<b>x</b>", "end", "x[1](2){3}", "a;b #1", "`y`", "%% no comment", "_it_"]
)
def test_a_label_stays_text(page, label):
    text = drawn(page, draw(Value(2.0, label) * 3.0).mermaid())
    assert not text.startswith("ERROR"), text
    assert label in text
