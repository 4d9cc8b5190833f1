"""The data sets: their shapes, their seeds, and iris against an independent copy."""

import math
import random
import re

import pytest

from micrograd_mlp import datasets
from micrograd_mlp.training.datasets import circles, iris, moons, names, spirals, train_test_split, xor

TOYS = [moons, circles, spirals]


@pytest.mark.parametrize("shape", TOYS)
def test_toys_are_plain_lists_in_the_documented_shape(shape):
    X, y = shape(101, noise=0.1, seed=0)
    assert len(X) == len(y) == 101
    assert all(type(x) is float for row in X for x in row)
    assert all(len(row) == 2 for row in X)
    assert {type(k) for k in y} == {int}
    assert sorted([y.count(0), y.count(1)]) == [50, 51]


@pytest.mark.parametrize("shape", TOYS)
def test_the_same_seed_gives_the_same_data_and_another_one_other_data(shape):
    assert shape(20, seed=3) == shape(20, seed=3) == shape(20, seed=random.Random(3))
    assert shape(20, seed=3) != shape(20, seed=4)


def test_moons_are_two_half_circles():
    X, y = moons(50, noise=0.0, seed=0)
    for (x1, x2), k in zip(X, y):
        centre = (0.0, 0.0) if k == 0 else (1.0, 0.5)
        assert math.dist((x1, x2), centre) == pytest.approx(1.0)
        assert (x2 >= -1e-12) if k == 0 else (x2 <= 0.5 + 1e-12)


def test_moons_without_noise_are_scikit_learns():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    peer_X, peer_y = sklearn_datasets.make_moons(21, shuffle=False)
    X, y = moons(21, noise=0.0, seed=0)
    ours = sorted((k, row) for row, k in zip(X, y))
    peers = sorted((int(k), row.tolist()) for row, k in zip(peer_X, peer_y))
    for (k, row), (peer_k, peer_row) in zip(ours, peers, strict=True):
        assert k == peer_k
        assert row == pytest.approx(peer_row, abs=1e-12)


def test_circles_lie_inside_each_other():
    X, y = circles(40, noise=0.0, seed=0, factor=0.25)
    for row, k in zip(X, y):
        assert math.hypot(*row) == pytest.approx(0.25 if k else 1.0)
    assert len({(round(a, 9), round(b, 9)) for a, b in X}) == 40, "no point stands twice"


def test_spirals_have_one_arm_for_each_class():
    X, y = spirals(90, noise=0.0, seed=0, n_classes=3, turns=0.25)
    for k in range(3):
        arm = sorted((row for row, label in zip(X, y) if label == k), key=lambda row: math.hypot(*row))
        assert math.hypot(*arm[0]) == 0.0
        assert math.hypot(*arm[-1]) == pytest.approx(1.0)
        angle = 2 * math.pi * (0.25 + k / 3)
        assert arm[-1] == pytest.approx([math.cos(angle), math.sin(angle)], abs=1e-12)


def test_noise_is_the_standard_deviation_of_each_coordinate():
    clean, noisy = (dict(zip("Xy", moons(4000, noise=s, seed=1))) for s in (0.0, 0.2))
    # The noise is drawn before the rows are shuffled, in the same order for every noise.
    differences = [a - b for p, q in zip(clean["X"], noisy["X"]) for a, b in zip(p, q)]
    assert math.sqrt(sum(d * d for d in differences) / len(differences)) == pytest.approx(0.2, rel=0.05)


def test_xor_is_its_truth_table():
    X, y = xor()
    assert [int(a) ^ int(b) for a, b in X] == y


def test_iris_is_fishers_table():
    X, y = iris()
    assert len(X) == len(y) == 150
    assert all(type(x) is float for row in X for x in row)
    assert [y.count(k) for k in range(3)] == [50, 50, 50]
    assert len(datasets.IRIS_FEATURES) == len(X[0]) == 4
    # The means of Fisher's table II, in cm.
    means = [[sum(row[i] for row, k in zip(X, y) if k == c) / 50 for i in range(4)] for c in range(3)]
    assert means[0] == pytest.approx([5.006, 3.428, 1.462, 0.246])
    assert means[1] == pytest.approx([5.936, 2.770, 4.260, 1.326])
    assert means[2] == pytest.approx([6.588, 2.974, 5.552, 2.026])


def test_iris_has_the_articles_numbers_where_the_uci_copy_errs():
    X, _ = iris()
    assert X[34] == [4.9, 3.1, 1.5, 0.2]
    assert X[37] == [4.9, 3.6, 1.4, 0.1]


def test_iris_equals_scikit_learns_copy():
    peer = pytest.importorskip("sklearn.datasets").load_iris()
    X, y = iris()
    assert peer.data.tolist() == X
    assert peer.target.tolist() == y
    assert list(peer.target_names) == datasets.IRIS_SPECIES
    assert peer.feature_names == datasets.IRIS_FEATURES


def test_iris_is_a_new_list_each_time():
    iris()[0][0][0] = 99.0
    assert iris()[0][0][0] == 5.1


def test_a_split_keeps_every_example_with_its_target_once():
    X, y = [[float(i)] for i in range(10)], list(range(10))
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, seed=0)
    assert (len(X_train), len(X_test)) == (7, 3)
    assert sorted(y_train + y_test) == y
    assert [int(row[0]) for row in X_train + X_test] == y_train + y_test
    assert y_train + y_test != y, "in random order"
    assert train_test_split(X, y, 0.3, seed=0) == (X_train, X_test, y_train, y_test)


def test_a_split_never_leaves_one_side_empty():
    for size in (0.01, 0.99):
        X_train, X_test, *_ = train_test_split([[1.0], [2.0]], [1, 2], size, seed=0)
        assert len(X_train) == len(X_test) == 1


@pytest.mark.parametrize("shape", TOYS)
@pytest.mark.parametrize("n", [0, -1])
def test_sizes_below_one_are_refused(shape, n):
    with pytest.raises(ValueError, match=f"n must be 1 or more, got {n}"):
        shape(n)


@pytest.mark.parametrize("shape", TOYS)
def test_other_bad_arguments_are_refused(shape):
    with pytest.raises(TypeError, match="n must be an int, got 10"):
        shape(10.0)
    for noise in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="noise must be 0 or more"):
            shape(10, noise=noise)
    with pytest.raises(TypeError, match="expected a real number, got 'much'"):
        shape(10, noise="much")


def test_bad_shapes_and_splits_are_refused():
    with pytest.raises(ValueError, match=r"factor must be above 0 and below 1, got 1\.5"):
        circles(10, factor=1.5)
    with pytest.raises(ValueError, match="n_classes must be 1 or more, got 0"):
        spirals(10, n_classes=0)
    with pytest.raises(ValueError, match="X has 1 examples, but y has 2 targets"):
        train_test_split([[1.0]], [1, 2])
    with pytest.raises(ValueError, match="2 examples or more, got 1"):
        train_test_split([[1.0]], [1])
    with pytest.raises(ValueError, match="test_size must be above 0 and below 1, got 1"):
        train_test_split([[1.0], [2.0]], [1, 2], test_size=1)


def test_a_name_is_syllables_in_vowel_harmony():
    drawn = names(500, seed=0)
    assert all(re.fullmatch("[a-z]{3,7}", name) for name in drawn)
    syllable, end = "[bdfghklmnprstv]?{}([bdfghklmnprstv]{}){{1,2}}", "[lnrs]?"
    dark, bright = [re.compile(syllable.format(v, v) + end) for v in ("[aou]", "[ei]")]
    kinds = [(bool(dark.fullmatch(name)), bool(bright.fullmatch(name))) for name in drawn]
    assert {(True, False), (False, True)} == set(kinds)
    assert 200 < kinds.count((True, False)) < 300
    assert {len(name) for name in drawn} == {3, 4, 5, 6, 7}


def test_names_come_from_their_seed():
    assert names(20, seed=3) == names(20, seed=random.Random(3)) == names(40, seed=3)[:20]
    assert names(20, seed=3) != names(20, seed=4)
    with pytest.raises(ValueError, match="n must be 1 or more"):
        names(0)
