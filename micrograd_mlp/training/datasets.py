"""Small data sets for a first network: four toy shapes, Fisher's 150 irises, and invented names.

All are plain lists, without NumPy: X has a list of floats for each example, and y a target. For a
classification the target is the index of the class, from 0, as `cross_entropy` takes it. Every random
choice comes from `seed`, so that the data are reproducible bit for bit.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TypeVar

from micrograd_mlp._require import random_generator, require_count, require_number

Features = list[list[float]]
Seed = int | random.Random | None
Example = TypeVar("Example")
Target = TypeVar("Target")

IRIS_FEATURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
IRIS_SPECIES = ["setosa", "versicolor", "virginica"]


def moons(n: int = 100, noise: float = 0.1, seed: Seed = None) -> tuple[Features, list[int]]:
    """Two half circles that reach into each other, like `make_moons` of scikit-learn.

    Args:
        n: the number of points, 1 or more; class 0 has n // 2 of them.
        noise: the standard deviation of the noise in each coordinate, 0 or more.
        seed: an int or a `random.Random`.

    Returns:
        X, the 2 coordinates of each point, and y, the class of each point, 0 or 1, in random order.

    Raises:
        TypeError: `n` is not an int, or `noise` is not a number.
        ValueError: one of them is out of range.

    >>> X, y = moons(100, noise=0.1, seed=0)
    >>> len(X), len(X[0]), sum(y)
    (100, 2, 50)
    """

    def point(k: int, t: float) -> list[float]:
        angle = math.pi * t
        if k == 0:
            return [math.cos(angle), math.sin(angle)]
        return [1.0 - math.cos(angle), 0.5 - math.sin(angle)]

    return _shape(point, 2, n, noise, seed)


def circles(
    n: int = 100, noise: float = 0.1, seed: Seed = None, factor: float = 0.5
) -> tuple[Features, list[int]]:
    """A circle of radius 1 (class 0) around one of radius `factor` (class 1).

    Args:
        n: the number of points, 1 or more.
        noise: the standard deviation of the noise in each coordinate, 0 or more.
        seed: an int or a `random.Random`.
        factor: the radius of the inner circle, above 0 and below 1.

    Returns:
        X, the 2 coordinates of each point, and y, the class of each point, 0 or 1, in random order.

    Raises:
        TypeError: `n` is not an int, or `noise` or `factor` is not a number.
        ValueError: one of them is out of range.

    >>> X, y = circles(100, noise=0.0, seed=0)
    >>> sorted({(round(math.hypot(*row), 6), k) for row, k in zip(X, y)})
    [(0.5, 1), (1.0, 0)]
    """
    factor = require_number("factor", factor, above=0, below=1)

    def point(k: int, t: float) -> list[float]:
        radius, angle = (1.0, factor)[k], 2.0 * math.pi * t
        return [radius * math.cos(angle), radius * math.sin(angle)]

    return _shape(point, 2, n, noise, seed, closed=True)


def spirals(
    n: int = 100, noise: float = 0.05, seed: Seed = None, n_classes: int = 2, turns: float = 1.0
) -> tuple[Features, list[int]]:
    """Spirals from the origin out to radius 1, one arm for each class.

    Args:
        n: the number of points, 1 or more.
        noise: the standard deviation of the noise in each coordinate, 0 or more.
        seed: an int or a `random.Random`.
        n_classes: the number of arms, 1 or more.
        turns: how often an arm goes round the centre; more turns are harder to learn.

    Returns:
        X, the 2 coordinates of each point, and y, the class of each point, in random order.

    Raises:
        TypeError: `n` or `n_classes` is not an int, or `noise` or `turns` is not a number.
        ValueError: one of them is out of range.

    >>> X, y = spirals(90, seed=0, n_classes=3)
    >>> [y.count(k) for k in range(3)]
    [30, 30, 30]
    """
    n_classes = require_count("n_classes", n_classes, least=1)
    turns = require_number("turns", turns)

    def point(k: int, t: float) -> list[float]:
        angle = 2.0 * math.pi * (turns * t + k / n_classes)
        return [t * math.cos(angle), t * math.sin(angle)]

    return _shape(point, n_classes, n, noise, seed)


def xor() -> tuple[Features, list[int]]:
    """Exclusive or: y is 1 where exactly one of the two inputs is 1. No line separates the classes.

    >>> xor()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    return [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]


def iris() -> tuple[Features, list[int]]:
    """150 irises of three species, measured by E. Anderson and published by R. A. Fisher.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7
    (1936), pp. 179-188, table I. The numbers are those of the article, as R and scikit-learn have them. The
    copy at UCI differs in two flowers of setosa: the 35th ends in 0.1 where the article has 0.2, and the
    38th is 4.9, 3.1, 1.5, 0.1 where the article has 4.9, 3.6, 1.4, 0.1.

    Returns:
        X, the 4 lengths of each flower in cm, which `IRIS_FEATURES` names, and y, the species of each
        flower, which `IRIS_SPECIES` names. There are 50 of each species, in the order of the article.

    >>> X, y = iris()
    >>> X[0], IRIS_SPECIES[y[0]], len(X)
    ([5.1, 3.5, 1.4, 0.2], 'setosa', 150)
    """
    text = resources.files("micrograd_mlp").joinpath("data/iris.csv").read_text(encoding="utf-8")
    _, *rows = csv.reader(text.splitlines())
    return [[float(cell) for cell in row[:4]] for row in rows], [IRIS_SPECIES.index(row[4]) for row in rows]


def names(n: int = 100, seed: Seed = None) -> list[str]:
    """Invented first names, such as "miri" and "talon", for a model that reads and writes letters.

    Each has two or three syllables of a consonant and a vowel. The first consonant may be missing, and the
    name may end in l, n, r or s. Vowels follow a harmony, as in Finnish: a name has either a, o and u, or
    e and i. So the next vowel depends on earlier ones, which no table of pairs of letters knows.

    Args:
        n: the number of names, 1 or more. Some may occur more than once.
        seed: an int or a `random.Random`.

    Returns:
        The names, 3 to 7 letters from a to z each.

    Raises:
        TypeError: `n` is not an int.
        ValueError: `n` is below 1.

    >>> names(5, seed=0)
    ['binilil', 'atal', 'uduko', 'kenimir', 'osu']
    """
    rng = random_generator(seed)
    return [_name(rng) for _ in range(require_count("n", n, least=1))]


def _name(rng: random.Random) -> str:
    vowels = rng.choice(("aou", "ei"))
    n_syllables = rng.choice((2, 3))
    name = "".join([rng.choice("bdfghklmnprstv") + rng.choice(vowels) for _ in range(n_syllables)])
    return name[rng.choice((0, 0, 1)) :] + rng.choice(("", "", "l", "n", "r", "s"))


def train_test_split(
    X: Sequence[Example], y: Sequence[Target], test_size: float = 0.25, seed: Seed = None
) -> tuple[list[Example], list[Example], list[Target], list[Target]]:
    """Split examples into those to train on and those to measure the trained network with.

    Args:
        X: the features of each example; 2 examples or more.
        y: the target of each example.
        test_size: the fraction of examples that is held out, above 0 and below 1. At least one example is
            held out, and at least one is not.
        seed: an int or a `random.Random`.

    Returns:
        X_train, X_test, y_train, y_test, in random order.

    Raises:
        TypeError: `test_size` is not a number.
        ValueError: X and y differ in length, there are less than 2 examples, or `test_size` is out of range.

    >>> X_train, X_test, y_train, y_test = train_test_split(*iris(), test_size=0.2, seed=0)
    >>> len(X_train), len(X_test)
    (120, 30)
    """
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} examples, but y has {len(y)} targets")
    if len(X) < 2:
        raise ValueError(f"a split needs 2 examples or more, got {len(X)}")
    test_size = require_number("test_size", test_size, above=0, below=1)
    order = list(range(len(X)))
    random_generator(seed).shuffle(order)
    n_test = min(max(round(test_size * len(X)), 1), len(X) - 1)
    test, train = order[:n_test], order[n_test:]
    return [X[i] for i in train], [X[i] for i in test], [y[i] for i in train], [y[i] for i in test]


def _shape(
    point: Callable[[int, float], list[float]],
    n_classes: int,
    n: int,
    noise: float,
    seed: Seed,
    closed: bool = False,
) -> tuple[Features, list[int]]:
    """Points of the curves `point(class, t)`, evenly over t from 0 to 1, with noise and in random order.

    On a closed curve t = 1 is the same point as t = 0, and is left out.
    """
    n = require_count("n", n, least=1)
    noise = require_number("noise", noise, least=0)
    rng = random_generator(seed)
    examples: list[tuple[list[float], int]] = []
    for k in range(n_classes):
        n_points = (n + k) // n_classes
        last = n_points if closed else max(n_points - 1, 1)
        curve = [point(k, i / last) for i in range(n_points)]
        examples += [([x + rng.gauss(0.0, noise) for x in xs], k) for xs in curve]
    rng.shuffle(examples)
    return [x for x, _ in examples], [k for _, k in examples]
