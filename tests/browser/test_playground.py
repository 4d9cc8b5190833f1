"""The playground in a real browser: it takes the engine's steps, and everybody reaches everything in it."""

import json
import math

import pytest

from micrograd_mlp import (
    MLP,
    SGD,
    Adam,
    Momentum,
    RMSProp,
    Value,
    binary_cross_entropy_with_logits,
    cross_entropy,
    datasets,
    l2,
    largest_hessian_eigenvalue,
    layer_gradient_norms,
    mean,
    playground,
    squared_error,
)
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.initializers import INITIALIZERS
from tests.browser.chromium import chromium, missing, prefer

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

OPTIMIZERS = {kind.__name__: kind for kind in (SGD, Momentum, RMSProp, Adam)}
HOSTILE = "</script><img src=x onerror=alert(1)>"


class Page:
    """What a person, a teacher or a test does with the page."""

    def __init__(self, driver, page, folder):
        self.driver = driver
        page.save(folder / "playground.html")
        driver.get("about:blank")
        driver.get_log("browser"), driver.get_log("performance")  # reading a log empties it
        driver.get((folder / "playground.html").as_uri())
        prefer(driver, reduced_motion="reduce")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def set(self, **changes):
        return self.run("return playground.set(arguments[0])", changes)

    def train(self, n):
        return self.run("return playground.train(arguments[0])", n)

    def loss(self, which="train"):
        return self.run("return playground.loss(arguments[0])", which)

    def state(self):
        return self.run("return playground.state()")

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).get_property("textContent")

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self, selector):
        self.run("document.querySelector(arguments[0]).focus({focusVisible: true})", selector)

    def click_on_plane(self, x, y):
        """A click at a share of the plane's width and height."""
        self.run(
            """
            const plane = document.getElementById("plane");
            const { left, top, width, height } = plane.getBoundingClientRect();
            const [x, y] = arguments;
            const at = { bubbles: true, clientX: left + x * width, clientY: top + y * height };
            plane.dispatchEvent(new PointerEvent("pointerdown", at));
            plane.dispatchEvent(new PointerEvent("pointerup", at));
            """,
            x,
            y,
        )

    def complaints(self):
        return self.driver.get_log("browser")

    def requests(self):
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return {
            message["params"]["request"]["url"].partition(",")[0]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }


@pytest.fixture(scope="module")
def driver():
    with chromium(width=1400, height=1000) as driver:
        yield driver


@pytest.fixture
def show(driver, tmp_path):
    """Opens a playground; what the page complains about fails the test."""
    pages = []

    def show(*args, **settings):
        pages.append(Page(driver, playground(*args, **settings), tmp_path))
        return pages[-1]

    yield show
    for page in pages:
        assert page.complaints() == []


def engines_run(state, loss, optimizer, batches, penalty):
    """The engine's network after the page's batches, from the page's weights before."""
    model = MLP.from_dict(state["model"])
    parameters = model.parameters()
    settings = dict(state["settings"]["hyperparameters"])
    betas = (settings.pop("beta1"), settings.pop("beta2"))
    if optimizer is Adam:
        settings["betas"] = betas
    names = optimizer.__init__.__code__.co_varnames
    descent = optimizer(parameters, **{name: value for name, value in settings.items() if name in names})
    X, y = state["data"]["X"], state["data"]["y"]
    for batch in batches:
        model.zero_grad()
        (mean([loss(model(X[e]), y[e]) for e in batch]) + penalty * l2(parameters)).backward()
        descent.step()
    return model


def assert_takes_the_engines_steps(page, loss, optimizer, steps=100):
    before = page.state()
    page.train(steps)
    after = page.state()
    assert len(after["batches"]) == steps
    model = engines_run(before, loss, optimizer, after["batches"], before["settings"]["l2"])
    theirs, ours = after["model"]["parameters"], model.state_dict()
    assert theirs.keys() == ours.keys()
    assert any(abs(ours[name] - before["model"]["parameters"][name]) > 1e-3 for name in ours)
    for name, number in ours.items():
        assert theirs[name] == pytest.approx(number, rel=1e-10, abs=1e-10), name
    return after, model


class Extreme:
    """A generator that shows an initializer's scale: a uniform number's bound, a normal one's deviation."""

    def uniform(self, low, high):
        assert low == -high
        return high

    def gauss(self, mean, deviation):
        assert mean == 0.0
        return deviation


class TestTraining:
    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_takes_the_engines_steps(self, show, optimizer, activation):
        X, y = datasets.moons(16, noise=0.1, seed=1)
        settings = {"activation": activation, "optimizer": optimizer, "lr": 0.03, "l2": 0.01, "batch_size": 5}
        page = show(X, y, hidden=[3, 2], **settings)
        assert_takes_the_engines_steps(page, binary_cross_entropy_with_logits, OPTIMIZERS[optimizer])

    def test_with_several_classes(self, show):
        X, y = datasets.spirals(15, n_classes=3, seed=1)
        page = show(X, y, hidden=[4], optimizer="Adam", lr=0.05, batch_size=None)
        after, _ = assert_takes_the_engines_steps(page, cross_entropy, Adam)
        assert after["batches"][0] == after["data"]["train"]

    def test_with_numbers(self, show):
        X = [[0.1 * i, 0.3 - 0.05 * i] for i in range(9)]
        page = show(X, [math.sin(x[0]) - 0.25 for x in X], hidden=[3], optimizer="Momentum", lr=0.02)
        assert_takes_the_engines_steps(page, squared_error, Momentum)

    def test_without_hidden_layers(self, show):
        page = show(*datasets.moons(12, seed=0), hidden=[])
        assert_takes_the_engines_steps(page, binary_cross_entropy_with_logits, SGD)

    def test_starts_with_the_weights_of_the_seed_and_visits_each_example_once_in_an_epoch(self, show):
        page = show(*datasets.moons(20, seed=0), hidden=[3], seed=4, batch_size=6, test_share=0.25)
        assert page.state()["model"]["parameters"] == MLP(2, [3, 1], "tanh", seed=4).state_dict()
        page.train(3)
        state = page.state()
        assert sorted(e for batch in state["batches"] for e in batch) == state["data"]["train"]
        assert (len(state["data"]["train"]), len(state["data"]["test"])) == (15, 5)
        assert state["epoch"] == 1

    def test_losses_gradient_norms_and_curvature_are_the_engines(self, show):
        X, y = datasets.moons(24, noise=0.1, seed=3)
        page = show(X, y, hidden=[3, 3], l2=0.02, test_share=0.25)
        page.train(30)
        page.run("playground.set({l2: 0.02})")
        state = page.state()
        model = MLP.from_dict(state["model"])

        def engines_loss(examples):
            return mean([binary_cross_entropy_with_logits(model(X[e]), y[e]) for e in examples])

        assert page.loss() == pytest.approx(engines_loss(state["data"]["train"]).data, rel=1e-12)
        assert page.loss("test") == pytest.approx(engines_loss(state["data"]["test"]).data, rel=1e-12)
        whole = engines_loss(state["data"]["train"]) + 0.02 * l2(model.parameters())
        for theirs, ours in zip(state["gradientNorms"], layer_gradient_norms(whole, model), strict=True):
            assert theirs["layer"] == ours.layer
            assert (theirs["dz"], theirs["dW"]) == pytest.approx((ours.dz, ours.dw), rel=1e-9)
        page.run("for (let k = 0; k < 10; k++) playground.set({l2: 0.02})")  # each refines λ
        curvature = page.state()["curvature"]
        eigenvalue = largest_hessian_eigenvalue(whole, model.parameters())
        assert curvature["lambda"] == pytest.approx(float(eigenvalue), rel=1e-4)
        assert curvature["stableRate"] == pytest.approx(2.0 / eigenvalue, rel=1e-4)

    def test_a_gradient_that_is_not_finite_stops_with_the_last_finite_weights(self, show):
        X = [[10.0 * i, 1.0] for i in range(6)]
        page = show(X, [1e3 * i + 0.5 for i in range(6)], hidden=[], lr=1e6, batch_size=None)
        page.train(500)
        state = page.state()
        assert state["step"] < 500
        assert all(math.isfinite(number) for number in state["model"]["parameters"].values())
        assert "not finite" in page.text("#stability")

    @pytest.mark.parametrize("name", INITIALIZERS)
    def test_first_weights_have_the_initializers_scale(self, show, name):
        scale = INITIALIZERS[name](8, 8, Extreme())
        page = show(hidden=[8, 8])
        weights = []
        for seed in range(1, 11):
            parameters = page.set(init=name, seed=seed)["model"]["parameters"]
            weights += [w for key, w in parameters.items() if key.startswith("W2")]
            assert all(b == 0 for key, b in parameters.items() if key.startswith("b"))
        if name.endswith("uniform"):
            assert 0.97 * scale < max(map(abs, weights)) <= scale
        else:
            assert math.sqrt(sum(w * w for w in weights) / len(weights)) == pytest.approx(scale, rel=0.1)


class TestThePage:
    def test_loads_without_a_request(self, show):
        page = show()
        page.train(5)
        assert {url for url in page.requests() if not url.startswith("data:")} == {page.driver.current_url}

    def test_plays_and_pauses_by_keyboard(self, show):
        from selenium.webdriver.support.wait import WebDriverWait

        page = show()
        page.focus("body")
        page.press("p")
        assert page.text("#live") == "Training."
        WebDriverWait(page.driver, 20, poll_frequency=0.05).until(lambda _: page.state()["step"] > 0)
        page.press("p")
        step = page.state()["step"]
        assert page.text("#live").startswith(f"Paused at step {step}, training loss ")
        page.press("s")
        assert page.state()["step"] == step + 1
        page.press("r")
        assert page.state()["step"] == 0

    def test_everything_is_reached_by_tab(self, show):
        page = show()
        reached = set()
        page.focus("#reset")
        for _ in range(80):
            reached.add(
                page.run(
                    "const e = document.activeElement; return e.id || e.name || e.dataset.tool || e.className"
                )
            )
            page.press("\ue004")
        expected = "reset play step speed dataset test-share activation init optimizer lr batch-size l2 seed "
        expected += "fewer-layers more-layers small neuron plane inspect move delete save copy python"
        assert reached >= set(expected.split()), set(expected.split()) - reached

    def test_points_are_added_inspected_moved_and_deleted_by_keys(self, show):
        page = show(*datasets.moons(12, seed=0), test_share=0)
        page.focus("#plane")
        page.press("n")
        assert "Point 1 of 12, training" in page.text("#live")
        assert "δ = ∂ℓ/∂z" in page.text("#inspector")
        page.run("document.querySelector('[data-tool=\"add 1\"]').click()")
        page.focus("#plane")
        page.press("\ue014", "\ue014", "\ue013", "\ue007")  # right, right, up, Enter
        state = page.state()
        assert (len(state["data"]["X"]), state["data"]["y"][-1], state["data"]["train"][-1]) == (13, 1, 12)
        assert page.text("#live") == "Added a point of class 1; there are 13."
        page.run("document.querySelector('[data-tool=move]').click()")
        page.focus("#plane")
        page.press("n")
        before = page.state()["data"]["X"]
        selected = page.text("#inspected")
        page.press("\ue012")  # left
        after = page.state()["data"]["X"]
        [moved] = [e for e in range(13) if before[e] != after[e]]
        assert selected.startswith(f"Point {moved + 1} of 13")
        assert after[moved][0] < before[moved][0]
        page.press("\ue017")  # delete
        assert len(page.state()["data"]["X"]) == 12

    def test_points_are_added_and_deleted_by_mouse(self, show):
        page = show(*datasets.moons(12, seed=0), test_share=0)
        page.run("document.querySelector('[data-tool=\"add 0\"]').click()")
        page.click_on_plane(0.9, 0.1)
        assert page.state()["data"]["y"][-1] == 0
        assert page.state()["settings"]["dataset"] == "own points"
        page.run("document.querySelector('[data-tool=delete]').click()")
        page.click_on_plane(0.9, 0.1)
        assert len(page.state()["data"]["X"]) == 12
        assert_takes_the_engines_steps(page, binary_cross_entropy_with_logits, SGD, steps=20)

    def test_a_neuron_shows_its_equation_and_takes_another_weight(self, show):
        page = show(hidden=[2])
        page.run("document.querySelectorAll('.neuron')[3].click()")
        assert "z1[2] = W1[2,1] · x[1] + W1[2,2] · x[2] + b1[2]" in page.text("#inspector")
        page.run(
            "const field = document.querySelector('[data-parameter=\"W1[2,1]\"]'); field.value = 1.5;"
            "field.dispatchEvent(new Event('input'))"
        )
        assert page.state()["model"]["parameters"]["W1[2,1]"] == 1.5

    @pytest.mark.parametrize(
        ("y", "loss", "settings"),
        [
            ([0, 1, 1], binary_cross_entropy_with_logits, {"hidden": [3, 2]}),
            ([0, 2, 1], cross_entropy, {"hidden": [2], "activation": "relu"}),
            ([0.5, -1.0, 2.0], squared_error, {"hidden": [], "activation": "linear"}),
            ([0.5, -1.0, 2.0], squared_error, {"hidden": [11], "activation": "softplus"}),
        ],
    )
    def test_the_loss_of_a_point_is_explored_as_the_graph_that_the_engine_records(
        self, show, y, loss, settings
    ):
        X = [[0.25, -0.5], [1.0, 0.75], [-0.5, 2.0]]
        page = show(X, y, test_share=0, **settings)
        page.focus("#plane")
        page.press("n", "n")
        page.run("document.getElementById('open-graph').click()")
        model = playground(X, y, test_share=0, **settings).model
        expected = loss(model([Value(X[1][0], "x[1]"), Value(X[1][1], "x[2]")]), y[1])
        expected.backward()
        page.driver.switch_to.frame(page.find("#graph-frame"))
        for node in expected.topological_order():
            if node.label and node is not expected:
                seen = page.run("return explorer.get(arguments[0])", node.label)
                assert seen["data"] == pytest.approx(node.data, rel=1e-12, abs=1e-15), node.label
                assert seen["grad"] == pytest.approx(node.grad, rel=1e-12, abs=1e-15), node.label
        assert page.run("return explorer.get('ℓ').data") == pytest.approx(expected.data, rel=1e-12)
        size = len(expected.topological_order())
        assert f"{size} nodes" in page.run(
            "return document.querySelector('#explorer').shadowRoot.querySelector('canvas').ariaLabel"
        )
        page.driver.switch_to.default_content()
        page.press("\ue00c")  # Escape
        assert page.run("return document.getElementById('graph').open") is False

    def test_layers_and_neurons_come_and_go(self, show):
        page = show(hidden=[2])
        page.run("document.getElementById('more-layers').click()")
        page.run("document.querySelector('[data-key=\"Add a neuron to 1\"]').click()")
        assert page.state()["model"]["model"]["layer_sizes"] == [3, 2, 1]
        assert page.text("#live") == "The network is now 2-3-2-1, with new weights."
        page.run("document.querySelectorAll('.neuron')[6].click()")  # of the layer that goes next
        assert page.text("#inspected") == "a2[2]"
        assert page.text("#live") == "The plane and the inspector show the activation a2[2]."
        for _ in range(2):
            page.run("document.getElementById('fewer-layers').click()")
        assert page.state()["model"]["model"]["layer_sizes"] == [1]
        assert page.text("#inspected") == ""

    def test_points_are_pasted_as_csv(self, show):
        page = show()
        paste = (
            "document.getElementById('csv').value = arguments[0]; document.getElementById('use-csv').click()"
        )
        page.run(paste, "x1,x2,kind\n0,0,red\n1;1;blue\n2\t0\tblue\n0.5 -1 red\n")
        state = page.state()
        assert state["data"]["X"] == [[0, 0], [1, 1], [2, 0], [0.5, -1]]
        assert (state["data"]["y"], state["data"]["classes"]) == ([1, 0, 0, 1], ["blue", "red"])
        page.run(paste, "0,0,0\n1,1\n")
        assert page.text("#csv-error") == "Line 2: expected two numbers and a target, got “1,1”."
        assert page.state()["data"]["X"] == state["data"]["X"]

    def test_a_setting_that_does_not_exist_is_named(self, show):
        message = show().run("try { playground.set({rate: 1}) } catch (error) { return error.message }")
        assert message.startswith("There is no setting rate; there are dataset, testShare, hidden")

    def test_a_setting_out_of_range_changes_nothing(self, show):
        page = show()
        before = page.state()
        script = "try { playground.set(arguments[0]) } catch (error) { return error.message }"
        for changes in (
            {"l2": -1},
            {"hidden": [0]},
            {"hyperparameters": {"momentum": 1}},
            {"optimizer": "Adm"},
        ):
            [name] = changes
            assert page.run(script, changes).startswith(f"{name} can't be ")
        assert page.state() == before

    def test_markup_in_a_class_name_stays_text(self, show):
        page = show([[0.0, 0.0], [1.0, 1.0]], [HOSTILE, "b"], test_share=0)
        page.focus("#plane")
        page.press("n")
        assert HOSTILE in page.text("#inspected")
        assert HOSTILE in page.text("#add-tools")
        assert page.run("return document.querySelectorAll('#inspector img, #add-tools img').length") == 0

    def test_the_model_that_it_saves_is_loaded(self, show, tmp_path):
        page = show(hidden=[3])
        page.train(20)
        text = page.run(
            "let saved; const click = HTMLAnchorElement.prototype.click;"
            "HTMLAnchorElement.prototype.click = function () { saved = this.href; };"
            "document.getElementById('save').click(); HTMLAnchorElement.prototype.click = click;"
            "return decodeURIComponent(saved.split(',').slice(1).join(','))"
        )
        (tmp_path / "m.json").write_text(text, encoding="utf-8")
        model = MLP.load(tmp_path / "m.json")
        data = page.state()["data"]
        losses = [binary_cross_entropy_with_logits(model(data["X"][e]), data["y"][e]) for e in data["train"]]
        assert mean(losses).data == pytest.approx(page.loss(), rel=1e-12)

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_the_python_that_it_shows_runs(self, show, optimizer):
        page = show(hidden=[2], optimizer=optimizer, l2=0.001, lr=0.01)
        namespace = {}
        exec(page.text("#python"), namespace)
        assert len(namespace["history"].losses) == 1
        assert type(namespace["optimizer"]) is OPTIMIZERS[optimizer]

    def test_the_address_holds_the_settings(self, show):
        page = show()
        page.set(hidden=[5], activation="relu", hyperparameters={"lr": 0.3})
        page.driver.refresh()
        settings = page.state()["settings"]
        assert (settings["hidden"], settings["activation"], settings["hyperparameters"]["lr"]) == (
            [5],
            "relu",
            0.3,
        )

    def test_fits_into_the_width_of_a_phone(self, show):
        page = show(hidden=[8, 8, 8])
        size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            assert page.run("return document.documentElement.scrollWidth") == 390
        finally:
            page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def test_in_a_notebook_it_stands_in_a_frame(self, show, tmp_path):
        page = show()
        (tmp_path / "notebook.html").write_text(
            "<!doctype html><meta charset=utf-8><link rel=icon href=data:,>"
            + playground(hidden=[2])._repr_mimebundle_()["text/html"]
        )
        page.driver.get((tmp_path / "notebook.html").as_uri())
        page.driver.switch_to.frame(page.find("iframe"))
        page.train(3)
        assert page.state()["step"] == 3
        page.driver.switch_to.default_content()
