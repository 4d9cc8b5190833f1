"""The built documentation site in a browser that reaches no other host: its pages, and what runs in them.

    sphinx-build -W -b html notebooks site && python -m pytest -m site tests/site

MICROGRAD_MLP_SITE names the folder of the site, if it is not `site` in the checkout.
"""

import functools
import json
import os
import re
import threading
import time
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser.chromium import chromium, missing

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
SECONDS = 90  # that Python may take to start in the browser and to run a chapter


@pytest.fixture(scope="module")
def site():
    folder = Path(os.environ.get("MICROGRAD_MLP_SITE", ROOT / "site"))
    assert (folder / "index.html").exists(), f"{folder} has no site: build it first"
    return folder


# Links


class Links(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def test_every_internal_link_leads_to_a_file_and_an_anchor(site):
    pages = {page: Links(page) for page in site.rglob("*.html") if "lite" not in page.relative_to(site).parts}
    assert len(pages) > 20
    dead = []
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc or (target.startswith("#") and len(target) == 1):
                continue
            file = (page.parent / unquote(url.path)).resolve() if url.path else page
            anchors = pages[file].anchors if file in pages else None
            if not file.exists() or (url.fragment and anchors is not None and url.fragment not in anchors):
                dead.append(f"{page.relative_to(site)}: {target}")
    assert not dead


class Article(HTMLParser):
    """The text of a chapter outside of programs and of formulas that MathJax draws."""

    def __init__(self, page):
        super().__init__()
        self.text, self.hidden = "", []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        left_out = (
            tag in ("pre", "script", "style") or "math" in (dict(attributes).get("class") or "").split()
        )
        if left_out or tag in self.hidden:
            self.hidden.append(tag)

    def handle_endtag(self, tag):
        if self.hidden and self.hidden[-1] == tag:
            self.hidden.pop()

    def handle_data(self, data):
        if not self.hidden:
            self.text += data


# In the browser


class Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 (the base class has it as a plain dict)
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def driver():
    assert missing() is None
    with chromium("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1") as driver:
        yield driver


def wait_for(driver, script, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        seen = driver.execute_script(script)
        if seen:
            return seen
        time.sleep(0.2)  # a browser has no call that waits for a page's own condition
    pytest.fail(f"{what} did not happen within {SECONDS} seconds")


def complaints(driver):
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def hosts_that_were_asked(driver):
    requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    return {urlsplit(url).hostname for url in urls if url.startswith("http")}


@pytest.mark.parametrize(
    "page", ["index", "quick_start", "exercises", *CHAPTERS, "reference/engine", "reference/operations"]
)
def test_a_page_is_whole_without_another_host(driver, address, page):
    driver.get("about:blank")
    complaints(driver), hosts_that_were_asked(driver)
    driver.get(f"{address}/{page}.html")
    wait_for(driver, "return document.readyState === 'complete'", "loading")
    assert complaints(driver) == []
    assert hosts_that_were_asked(driver) == {"127.0.0.1"}


def test_mathematics_is_drawn(driver, address):
    driver.get(f"{address}/{CHAPTERS[0]}.html")
    formulas = wait_for(driver, "return document.querySelectorAll('mjx-container svg').length", "mathematics")
    assert formulas > 5


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_formula_is_left_as_text_even_in_what_a_cell_shows(site, chapter):
    text = Article(site / f"{chapter}.html").text
    assert "$$" not in text
    assert "\\frac" not in text


def test_the_landing_page_has_a_live_graph(driver, address):
    driver.get(f"{address}/index.html")
    driver.switch_to.frame(driver.find_element("css selector", "iframe.live"))
    wait_for(driver, "return !!window.explorer", "the explorer")
    assert driver.execute_script("explorer.set('w', 0.375); return explorer.get('a').data") == 0.0
    driver.switch_to.default_content()


def test_an_exercise_says_what_went_wrong(driver, address):
    driver.get(f"{address}/exercises.html")
    driver.switch_to.frame(driver.find_element("css selector", "iframe.live"))
    card = "document.querySelector('main > div').shadowRoot"
    wait_for(driver, f"return !!{card}", "the exercise")
    driver.execute_script(
        f"{card}.querySelector('input').value = 2; {card}.querySelector('.bar button').click()"
    )
    remark = driver.execute_script(f"return {card}.querySelector('.remark').textContent")
    assert remark == "Backpropagation starts here: ∂f/∂f is 1."
    driver.switch_to.default_content()


def test_an_example_of_the_reference_runs(driver, address):
    driver.get(f"{address}/reference/losses.html")
    button = driver.find_element("css selector", ".try_examples_button")
    driver.execute_script("arguments[0].click()", button)
    wait_for(
        driver, "return !!document.querySelector('iframe.jupyterlite_sphinx_iframe, iframe')", "the notebook"
    )
    driver.switch_to.frame(driver.find_element("css selector", "iframe"))
    assert run_all_cells(driver)[-1].strip() == "2.0"
    driver.switch_to.default_content()


def run_all_cells(driver):
    """Run the open notebook, and return the text of its outputs."""
    wait_for(driver, "return !!(window.jupyterapp && document.querySelector('.jp-CodeCell'))", "opening")
    kernel = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
    wait_for(driver, f"return {kernel} === 'idle'", "the start of Python")
    # The stored outputs go first, so that what is read afterwards was computed here.
    driver.execute_script("jupyterapp.commands.execute('editmenu:clear-all')")
    driver.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    # Asked of the notebook and not of the page, where a folded cell has no number.
    wait_for(
        driver,
        "const cells = jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code');"
        "return cells.length && cells.every(c => c.model.executionCount > 0);",
        "running all cells",
    )
    return driver.execute_script(
        "return [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.textContent)"
    )


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_in_the_browser(driver, address, chapter):
    driver.get(f"{address}/lite/notebooks/index.html?path={chapter}.ipynb")
    outputs = run_all_cells(driver)
    assert [
        text for text in outputs if re.search(r"Error\b.*\bTraceback|Traceback \(most", text, re.DOTALL)
    ] == []
    assert "".join(outputs).strip(), "nothing was printed"


def run_python(driver, address, program):
    """What a program prints in Pyodide, outside of any notebook."""
    driver.set_script_timeout(SECONDS)
    driver.get(f"{address}/lite/static/pyodide/pyodide-lock.json")
    return driver.execute_async_script(
        """
        const [program, done] = arguments;
        (async () => {
            const {loadPyodide} = await import('/lite/static/pyodide/pyodide.mjs');
            const python = await loadPyodide();
            await python.loadPackagesFromImports(program);
            return String(await python.runPythonAsync(program));
        })().then(done, error => done(`${error}`));
        """,
        program,
    )


def test_a_graph_is_drawn_with_graphviz(driver, address):
    svg = run_python(
        driver, address, "from micrograd_mlp import Value, draw\ndraw(Value(2.0, 'x').tanh()).svg()"
    )
    assert "<svg" in svg, svg
    assert "tanh" in svg, svg


def test_irises_are_learned(driver, address):
    program = (
        "from micrograd_mlp import MLP, Adam, accuracy, cross_entropy, datasets, fit\n"
        "X, X_test, y, y_test = datasets.train_test_split(*datasets.iris(), seed=1)\n"
        "model = MLP(4, [8, 3], activation='tanh', seed=1)\n"
        "optimizer = Adam(model.parameters(), lr=0.05)\n"
        "fit(model, cross_entropy, X, y, optimizer, epochs=20, batch_size=16, seed=1)\n"
        "accuracy(model, X_test, y_test)"
    )
    assert float(run_python(driver, address, program)) > 0.93


def test_a_chain_of_a_million_nodes_is_freed(driver, address):
    program = (
        "from micrograd_mlp import Value\n"
        "x = Value(1.0)\n"
        "for _ in range(1_000_000):\n    x = x + 1.0\n"
        "number = x.data\ndel x\nnumber"
    )
    assert float(run_python(driver, address, program)) == 1_000_001.0


def test_compile_says_that_it_needs_another_python(driver, address):
    seen = run_python(driver, address, "from micrograd_mlp import compile")
    assert "ImportError" in seen
    assert "browser" in seen
