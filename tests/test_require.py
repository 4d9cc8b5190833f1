"""Every argument is checked by one function of its kind, which says what was seen and what is expected."""

import random
from fractions import Fraction

import pytest

from micrograd_mlp._require import (
    as_float,
    is_sequence,
    nearest,
    random_generator,
    require_choice,
    require_count,
    require_examples,
    require_kind,
    require_number,
)
from tests.optional import from_numpy, np


class Frame:
    """What a data frame of pandas looks like: it is indexed by the names of its columns."""

    columns = ("x", "y")

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, name):
        return [row[self.columns.index(name)] for row in self.rows]

    def to_numpy(self):
        return np.array(self.rows)


@pytest.mark.parametrize(
    "x",
    [2, 2.0, Fraction(2), *from_numpy(lambda np: [np.float32(2), np.int64(2), np.array(2.0), np.array(2)])],
)
def test_a_real_number_of_any_library_is_a_float(x):
    assert type(as_float(x)) is float
    assert as_float(x) == 2.0


@pytest.mark.parametrize(
    "x", ["2", None, 2j, [2.0], 10**400, *from_numpy(lambda np: [np.complex128(2), np.array([2.0])])]
)
def test_anything_else_is_no_real_number(x):
    with pytest.raises(TypeError, match="expected a real number"):
        as_float(x)


@pytest.mark.parametrize("number", [3, *from_numpy(lambda np: [np.int64(3), np.uint8(3), np.array(3)])])
def test_a_count_is_an_integer_of_any_library(number):
    count = require_count("n", number, least=1)
    assert type(count) is int
    assert count == 3


@pytest.mark.parametrize(
    "number",
    [True, False, 3.0, "3", None, [3], *from_numpy(lambda np: [np.True_, np.float64(3), np.array([3])])],
)
def test_a_count_is_no_bool_and_nothing_that_is_not_an_integer(number):
    with pytest.raises(TypeError, match="n must be an int, got"):
        require_count("n", number)


def test_a_count_has_limits():
    assert require_count("n", 0) == 0
    with pytest.raises(ValueError, match="n must be 0 or more, got -1"):
        require_count("n", -1)
    with pytest.raises(ValueError, match="n must be 20 or more, got 19"):
        require_count("n", 19, least=20)
    assert require_count("order", 2, least=1, most=2) == 2
    with pytest.raises(ValueError, match="order must be from 1 to 2, got 3"):
        require_count("order", 3, least=1, most=2)


def test_a_number_is_finite_and_within_its_limits():
    assert require_number("x", np.float32(0.5)) == 0.5
    assert require_number("x", 0, least=0, below=1) == 0.0
    for number, limits, expected in [
        (float("inf"), {}, "x must be finite, got inf"),
        (float("nan"), {"least": 0}, "x must be 0 or more, got nan"),
        (-1, {"least": 0}, "x must be 0 or more, got -1.0"),
        (0, {"above": 0}, "x must be above 0, got 0.0"),
        (1, {"above": 0, "below": 1}, "x must be above 0 and below 1, got 1.0"),
        (2, {"least": 0, "most": 1}, "x must be 0 or more and 1 or less, got 2.0"),
    ]:
        with pytest.raises(ValueError, match=f"^{expected}$"):
            require_number("x", number, **limits)
    with pytest.raises(TypeError, match=r"x: expected a real number, got '0.5' of type str"):
        require_number("x", "0.5")


def test_a_choice_is_one_of_the_names():
    require_choice("activation", "relu", ["relu", "tanh"])
    require_choice("group_by", None, ["neuron", None])
    with pytest.raises(ValueError, match=r"^a must be 'relu' or 'tanh', got 'rleu': did you mean 'relu'\?$"):
        require_choice("a", "rleu", ["relu", "tanh"])
    with pytest.raises(ValueError, match=r"^a must be 'x', None or a function, got 7$"):
        require_choice("a", 7, ["x", None], other="a function")
    with pytest.raises(ValueError, match=r"^a must be 'x', got None$"):
        require_choice("a", None, ["x"])
    with pytest.raises(ValueError, match=r"^a must be 'x', got \['x'\]$"):
        require_choice("a", ["x"], ["x"])


def test_the_nearest_name():
    assert nearest("sigmod", ["tanh", "sigmoid"]) == "sigmoid"
    assert nearest("zzz", ["tanh", "sigmoid"]) is None


def test_an_object_of_one_class():
    require_kind("x", 1.0, float)
    with pytest.raises(TypeError, match=r"^x must be a float, got 'one'$"):
        require_kind("x", "one", float)
    with pytest.raises(
        TypeError, match=r"^x must be a float, got \[1.0\]: take one of them, or a loss of all$"
    ):
        require_kind("x", [1.0], float)


@pytest.mark.parametrize(
    "x", [[], [1], (1,), range(2), memoryview(b"ab"), *from_numpy(lambda np: [np.zeros(2), np.zeros((2, 2))])]
)
def test_a_sequence_is_ordered_and_has_a_length(x):
    assert is_sequence(x)


@pytest.mark.parametrize(
    "x",
    [
        "ab",
        b"ab",
        {"a": 1},
        {1, 2},
        frozenset(),
        1.0,
        iter([1]),
        Frame([[1, 2]]),
        None,
        *from_numpy(lambda np: [np.array(1.0)]),
    ],
)
def test_what_is_no_sequence(x):
    assert not is_sequence(x)


def test_examples_are_lists_of_floats_and_their_targets():
    X, Y = require_examples(np.array([[1, 2], [3, 4]]), np.array([0, 1]))
    assert X == [[1.0, 2.0], [3.0, 4.0]]
    assert Y == [0, 1]
    assert {type(x) for row in X for x in row} == {float}
    assert {type(y) for y in Y} == {int}  # a class index may be used to index a list
    assert require_examples([[1]], [[0.5, 2]]) == ([[1.0]], [[0.5, 2.0]])


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        ([], [], "X is empty"),
        ([[1.0]], [1, 2], "X has 1 examples, but Y has 2 targets"),
        ([1.0], [1], r"X\[0\] must be a list of numbers, got 1.0"),
        (["ab"], [1], r"X\[0\] must be a list of numbers, got 'ab'"),
        ([[1.0, "b"]], [1], r"X\[0\]\[1\]: expected a real number, got 'b'"),
        ([[1.0], [float("nan")]], [1, 2], r"X\[1\]\[0\] is nan"),
        ([[1.0]], [float("inf")], r"Y\[0\] is inf"),
        ([[1.0]], [None], r"Y\[0\]: expected a real number, got None"),
        ([[1.0]], 1.0, "Y must be a list with one entry for each example, got 1.0"),
        ({"x": [1.0]}, [1], "X must be a list with one entry for each example"),
        (Frame([[1.0, 2.0]]), [1], r"X is a Frame: give its numbers, X.to_numpy\(\)"),
    ],
)
def test_what_is_no_table_of_examples(X, Y, message):
    with pytest.raises(ValueError, match=message):
        require_examples(X, Y)


def test_a_seed_gives_the_same_numbers_again():
    assert random_generator(7).random() == random_generator(np.int64(7)).random()
    rng = random.Random(7)
    assert random_generator(rng) is rng


def test_without_a_seed_the_module_random_decides():
    random.seed(1337)
    first = random_generator(None).random()
    assert random_generator(None).random() != first
    random.seed(1337)
    assert random_generator(None).random() == first


@pytest.mark.parametrize("seed", ["1337", 0.5, [1]])
def test_a_seed_is_an_int_or_a_generator(seed):
    with pytest.raises(TypeError, match=r"seed must be an int or a random.Random, got"):
        random_generator(seed)
