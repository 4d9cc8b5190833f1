"""The README's pictures, drawn by the package: `python -m tests.pictures` writes notebooks/pictures/.

Networks are drawn from top to bottom: from left to right they are wider than a page, and their letters
too small.
"""

from pathlib import Path

from micrograd_mlp import MLP, Drawing, Value, draw, squared_error

FOLDER = Path(__file__).parent.parent / "notebooks" / "pictures"


def neuron() -> Drawing:
    """tanh(w·x + b)."""
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(-1.0, "b")
    a = (w * x + b).tanh()
    a.backward()
    return draw(a)


def two_layer_network() -> Drawing:
    """§6's network with the local derivative at every edge."""
    model = MLP(2, [2, 1], activation="sigmoid", seed=3)
    return draw(_loss(model, [1.0, -2.0]), local=True, rankdir="TB")


def collapsed() -> Drawing:
    """A network with one box for each neuron."""
    model = MLP(2, [3, 3, 1], activation="tanh", seed=1)
    return draw(_loss(model, [0.5, -1.0]), collapse="neuron", rankdir="TB")


def _loss(model: MLP, x: list[float]) -> Value:
    loss = squared_error(model(x), Value(1.0, "y"))
    loss.label = "loss"
    loss.backward()
    return loss


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for picture in (neuron, two_layer_network, collapsed):
        picture().save(FOLDER / f"{picture.__name__}.svg")
    from tests.browser.chromium import main

    main([str(FOLDER / "explore.png"), "--width", "1100", "--height", "640"])
    main([str(FOLDER / "step_through.png"), "--step", "38", "--width", "1100", "--height", "540"])
