"""`playground`: a page in which a network on points of the plane learns while you watch (§2-§5, §7-§11).

The page trains by itself, without Python and without an internet connection. Its scalar equations stand in
playground_network.js. Activations and optimizers are this package's own functions, turned into JavaScript,
so that the page takes the steps that `fit` takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from micrograd_mlp._require import as_float, require_choice, require_count, require_examples, require_number
from micrograd_mlp.engine.javascript import JAVASCRIPT
from micrograd_mlp.engine.language import NUMBER
from micrograd_mlp.engine.table import dot, total
from micrograd_mlp.engine.translate import Translation
from micrograd_mlp.engine.value import Value
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.initializers import INITIALIZERS
from micrograd_mlp.nn.losses import binary_cross_entropy_with_logits, cross_entropy, squared_error
from micrograd_mlp.nn.modules import MLP
from micrograd_mlp.optim import SGD, Adam, Momentum, Optimizer, RMSProp
from micrograd_mlp.render.description import describe
from micrograd_mlp.render.explore import page_program, page_shell
from micrograd_mlp.render.html import Page, json_for_script, svg_as_image, with_script
from micrograd_mlp.render.scene import Scene
from micrograd_mlp.training import datasets

MAX_CLASSES = 6
MAX_LAYERS = 6
MAX_NEURONS = 8  # in a layer, as many as the page's buttons reach
MAX_POINTS = 5000
OPTIMIZERS: dict[str, type[Optimizer]] = {kind.__name__: kind for kind in (SGD, Momentum, RMSProp, Adam)}


class Points(NamedTuple):
    """Points of the plane with their targets."""

    X: list[list[float]]  # two numbers for each point
    y: list[Any]  # for each point the index of its class; a number where there are no classes
    classes: list[str] | None  # their names
    python: str | None = None  # the code that makes X and y


def playground(
    X: Any = None,
    y: Any = None,
    *,
    hidden: Sequence[int] = (4, 4),
    activation: str = "tanh",
    init: str = "auto",
    optimizer: str = "SGD",
    lr: float = 0.1,
    batch_size: int | None = 10,
    l2: float = 0.0,
    test_share: float = 0.3,
    seed: int = 0,
) -> Playground:
    """A network on points of the plane that trains in a page: boundary, neurons, weights, losses, gradients.

    The arguments say how the page opens; everything can be changed there. The first weights are those of
    `MLP(2, [*hidden, n_outputs], activation, init=init, seed=seed)`, whose last layer is linear. The loss is
    `binary_cross_entropy_with_logits` for two classes, `cross_entropy` for more, and `squared_error` for
    numbers. For teachers and tests, the page has `window.playground` with `loss()`, `train(n)`, `state()`
    and `set({...})`.

    Args:
        X: points, two numbers each; moons unless given.
        y: for each point its class or a number. Text, and two to six different whole numbers, are classes.
        hidden: the sizes of the hidden layers, at most 6 of them.
        activation: σ of the hidden layers, a name in `ACTIVATIONS`.
        init: the initializer's name.
        optimizer: "SGD", "Momentum", "RMSProp" or "Adam" (§10), with the package's default settings.
        lr: the learning rate η, 0 or more.
        batch_size: the number of examples in a step; None takes all.
        l2: λ of the penalty λ Σ θ² over all parameters, 0 or more.
        test_share: the share of the points that is held out of training, from 0 to 0.6.
        seed: draws the first weights and, in the page, the batches; 0 or more.

    Returns:
        A page that shows itself in a notebook; `.save("playground.html")` writes one file.

    Raises:
        TypeError: a coordinate or a setting is not a number.
        ValueError: X and y do not fit together, or a setting is out of range.

    >>> playground([[0.0, 1.0], [1.0, 0.0]], [1, 0], hidden=[3])
    <Playground: 2-3-1 on 2 points; .save("playground.html") .html()>
    """
    if (X is None) != (y is None):
        raise ValueError("playground takes X and y together: the points and their targets")
    if len(hidden) > MAX_LAYERS:
        raise ValueError(f"the page has room for {MAX_LAYERS} hidden layers, got {len(hidden)}")
    require_choice("activation", activation, ACTIVATIONS)
    require_choice("init", init, ["auto", *INITIALIZERS])
    require_choice("optimizer", optimizer, OPTIMIZERS)
    shipped = _shipped()
    given = shipped if X is None else {"your points": _points(X, y)}
    name, first = next(iter(given.items()))
    n_outputs = len(first.classes) if first.classes and len(first.classes) > 2 else 1
    seed = require_count("seed", seed, most=2**32 - 1)
    model = MLP(2, [*hidden, n_outputs], activation, init=init, seed=seed)
    settings = {
        "dataset": name,
        "testShare": require_number("test_share", test_share, least=0, most=0.6),
        "hidden": [len(layer.neurons) for layer in model.layers[:-1]],
        "activation": activation,
        "init": init,
        "optimizer": optimizer,
        "hyperparameters": _default_hyperparameters() | {"lr": require_number("lr", lr, least=0)},
        "batchSize": None if batch_size is None else require_count("batch_size", batch_size, least=1),
        "l2": require_number("l2", l2, least=0),
        "seed": seed,
        "speed": 10,
    }
    return Playground(model, given | shipped, settings)


class Playground(Page):
    """The page that `playground` makes.

    Attributes:
        model: the network with which the page opens.
    """

    def __init__(self, model: MLP, points: dict[str, Points], settings: dict[str, Any]) -> None:
        self.model = model
        self._points, self._settings = points, settings

    def html(self) -> str:
        """The page as one HTML document."""
        data = {
            "datasets": {name: points._asdict() for name, points in self._points.items()},
            "settings": self._settings,
            "model": self.model.to_dict(),
            "maxClasses": MAX_CLASSES,
        }
        explorer = _explorer(max([MAX_NEURONS, *self._settings["hidden"]]))
        constants = [f"const DATA = {json_for_script(data)};", _functions(), explorer]
        scripts = [_read(f"playground{part}.js") for part in ("_network", "_graph", "")]
        page = _read("playground.html").replace("/* style */", _read("playground.css"))
        return page.replace("/* script */", "\n".join(constants + scripts))

    def __repr__(self) -> str:
        sizes = "-".join(map(str, [2, *(len(layer.neurons) for layer in self.model.layers)]))
        n_points = len(self._points[self._settings["dataset"]].X)
        return f'<Playground: {sizes} on {n_points:,} points; .save("playground.html") .html()>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:  # IPython passes include and exclude
        """In a notebook the page stands in a frame. One that is not trusted shows a picture of the points."""
        points = self._points[self._settings["dataset"]]
        still = svg_as_image(_picture(points), "Run this cell to train a network on these points.")
        shown = with_script(still, _SHOW_IN_A_FRAME, json_for_script(self.html()))
        return {"text/plain": repr(self), "text/html": shown}


_SHOW_IN_A_FRAME = """(host, page) => {
  const frame = document.createElement("iframe");
  frame.title = "Playground";
  frame.style = "width: 100%; height: 860px; border: 0";
  frame.srcdoc = page;
  host.replaceChildren(frame);
}"""


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _shipped() -> dict[str, Points]:
    """The package's data sets of points in the plane, with the code that makes each."""
    recipes: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
        ("moons", datasets.moons, {"n": 200, "noise": 0.1, "seed": 0}),
        ("circles", datasets.circles, {"n": 200, "noise": 0.08, "seed": 0}),
        ("spirals", datasets.spirals, {"n": 200, "noise": 0.02, "seed": 0}),
        ("3 arms", datasets.spirals, {"n": 210, "noise": 0.03, "seed": 0, "n_classes": 3, "turns": 0.6}),
        ("xor", datasets.xor, {}),
    ]
    made = {}
    for name, function, options in recipes:
        X, y = function(**options)
        arguments = ", ".join(f"{option}={value!r}" for option, value in options.items())
        code = f"X, y = datasets.{function.__name__}({arguments})"
        made[name] = Points(X, y, [f"class {k}" for k in range(max(y) + 1)], code)
    return made


def _points(X: Any, y: Any) -> Points:
    """The user's points. Whole numbers and text are classes, if there are few of them; other numbers stay."""
    targets = y.tolist() if hasattr(y, "tolist") else list(y)
    names = sorted({str(target) for target in targets if isinstance(target, str)})
    if names:
        if not all(isinstance(target, str) for target in targets):
            raise ValueError("y holds text and numbers: give the classes as one of them")
        targets = [names.index(target) for target in targets]
    points, targets = require_examples(X, targets)
    for e, point in enumerate(points):
        if len(point) != 2:
            raise ValueError(f"X[{e}] has {len(point)} numbers; a point of the plane has 2")
    if not 2 <= len(points) <= MAX_POINTS:
        raise ValueError(f"the page takes 2 to {MAX_POINTS:,} points, got {len(points):,}")
    numbers = [as_float(target) for target in targets]
    distinct = sorted(set(numbers))
    if names or (2 <= len(distinct) <= MAX_CLASSES and all(number.is_integer() for number in distinct)):
        if not 2 <= len(distinct) <= MAX_CLASSES:
            raise ValueError(f"y holds {len(distinct)} classes; the page shows 2 to {MAX_CLASSES}")
        classes = names or [f"class {int(number)}" for number in distinct]
        return Points(points, [distinct.index(number) for number in numbers], classes)
    return Points(points, numbers, None)


def _default_hyperparameters() -> dict[str, float]:
    """What the optimizers take unless told otherwise."""
    made = [kind([Value(0.0)], lr=0.1) for kind in OPTIMIZERS.values()]
    return {
        name: number
        for optimizer in made
        for name, number in zip(optimizer.hyperparameter_names, optimizer.hyperparameters(), strict=True)
    }


def _functions() -> str:
    """The activations with their derivatives, and the optimizers' rules, in JavaScript."""
    translation = Translation(JAVASCRIPT)
    activations = []
    for name, activation in ACTIVATIONS.items():
        op = getattr(activation.function, "op", None)
        if op is None:  # linear, which is no operation
            value, slope = "(z) => z", "() => 1"
        else:
            value = translation.forward(op)
            slope = f"(a, z) => {translation.partials(op)}(a, z)[0]"
        initializer = json.dumps(activation.initializer)
        activations.append(f"  {name}: {{ value: {value}, slope: {slope}, initializer: {initializer} }},")
    optimizers = []
    for name, kind in OPTIMIZERS.items():
        n_arguments = 3 + len(kind.state_names) + len(kind.hyperparameter_names)  # θ, g, t before them
        rule, _ = translation.function(kind.rule, f"{name.lower()}_rule", [NUMBER] * n_arguments)
        state, settings = json.dumps(kind.state_names), json.dumps(kind.hyperparameter_names)
        optimizers.append(f"  {name}: {{ rule: {rule}, state: {state}, hyperparameters: {settings} }},")
    tables = ["const ACTIVATIONS = {", *activations, "};", "const OPTIMIZERS = {", *optimizers, "};"]
    return "\n".join([translation.source(), *tables])


def _explorer(most_inputs: int) -> str:
    """What shows the loss of a point as a graph: the explorer, and the parts of such a graph.

    The page puts the parts together, since it knows the network's sizes only when a point is chosen. A
    neuron of it has at most `most_inputs`.
    """
    z = [Value(0.5 + k, f"z{k + 1}") for k in range(MAX_CLASSES)]
    y = Value(1.0, "y")
    ends = {name: sigma(z[0]) for name, sigma in ACTIVATIONS.items() if name != "linear"}
    ends |= {
        **{f"product of {n}": dot([z[0]] * n, [z[1]] * n) for n in range(1, most_inputs + 1)},
        "weighted sum": dot([z[0]], [z[1]]) + z[2],
        "squared_error": squared_error(z[0], y),
        "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits(z[0], y),
    }
    for n in range(3, MAX_CLASSES + 1):
        ends |= {f"cross_entropy {n} {k}": cross_entropy(z[:n], k) for k in range(n)}
    scene = Scene(total(ends.values()))
    data, functions = describe(scene)
    described = dict(zip(scene.order, data["nodes"], strict=True))
    program, style = page_program()
    explorer = {
        "shell": page_shell("Backpropagation of the loss of a point"),
        "program": program,
        "style": style,
        "functions": functions,
        "data": {key: data[key] for key in ("palette", "partials", "ops")},
        "parts": {name: _operations(end, described) for name, end in ends.items()},
    }
    return f"const EXPLORER = {json_for_script(explorer)};"


def _operations(output: Value, described: dict[Value, dict[str, Any]]) -> list[dict[str, Any]]:
    """The operations that lead to an output, in order.

    A parent is the position of an operation in this list, the label of a leaf, or {"constant": number}.
    """
    order = [node for node in output.topological_order() if node.op is not None]
    position = {node: i for i, node in enumerate(order)}
    return [
        {
            "op": described[node]["op"],
            "partials": described[node]["partials"],
            "parents": [position.get(p, p.label or {"constant": p.data}) for p in node.parents],
        }
        for node in order
    ]


def _picture(points: Points) -> str:
    """The points as a small SVG, for a notebook that runs no scripts."""
    (left, bottom), (right, top) = (tuple(map(side, *points.X)) for side in (min, max))
    width, height = right - left or 1.0, top - bottom or 1.0
    colours = ["#d9730d", "#2374c6", "#2f9e57", "#a43fc4", "#b58900", "#c2255c"]
    dots = []
    for (x, y), target in zip(points.X, points.y, strict=True):
        cx, cy = 20 + 280 * (x - left) / width, 220 - 200 * (y - bottom) / height
        colour = colours[target] if points.classes else "#5b6475"
        dots.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3.5" fill="{colour}"/>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="262" viewBox="0 0 320 262">'
        f'<rect width="320" height="240" rx="8" fill="#f3f4f7"/>{"".join(dots)}'
        '<text x="160" y="256" text-anchor="middle" font-family="sans-serif" font-size="12" fill="#5b6475">'
        "Run this cell to train a network on these points.</text></svg>"
    )
