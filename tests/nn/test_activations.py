"""Everything known about an activation stands in its record."""

import math

import pytest

from micrograd_mlp import MLP, Value, relu, tanh
from micrograd_mlp.nn.activations import ACTIVATIONS, find_activation
from micrograd_mlp.nn.initializers import INITIALIZERS, initializer


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_record_computes_its_function_on_floats_and_values(name):
    record = ACTIVATIONS[name]
    assert record.name == name
    assert record(Value(0.3)).data == record(0.3) == record.function(0.3)
    assert initializer("auto", name) is INITIALIZERS[record.initializer]


def test_a_record_is_found_by_name_by_function_and_by_itself():
    assert find_activation("tanh") is find_activation(tanh) is find_activation(ACTIVATIONS["tanh"])
    assert find_activation(relu).initializer == "he_normal"


def test_a_function_of_the_users_own_gets_a_record():
    def square(z):
        return z * z

    record = find_activation(square)
    assert (record.name, record.function, record.torch, record.onnx) == ("square", square, None, ())


def test_an_unknown_name_is_an_error_that_suggests_one():
    with pytest.raises(ValueError, match=r"'linear', .* got 'sigmod': did you mean 'sigmoid'"):
        MLP(2, [1], output_activation="sigmod")


def test_softmax_is_no_activation():
    with pytest.raises(ValueError, match="leave the last layer linear and use cross_entropy"):
        MLP(2, [3], output_activation="softmax")


@pytest.mark.parametrize("name", [name for name, record in ACTIVATIONS.items() if record.torch])
def test_the_class_in_pytorch_computes_the_same(name):
    torch = pytest.importorskip("torch")
    record = ACTIVATIONS[name]
    z = [-30.0, -2.5, -0.1, 0.0, 0.1, 2.5, 21.0]
    twin = getattr(torch.nn, record.torch)(**record.torch_arguments)
    seen = twin(torch.tensor(z, dtype=torch.float64)).tolist()
    assert all(math.isclose(a, record(z_k), rel_tol=1e-14, abs_tol=1e-15) for a, z_k in zip(seen, z)), (
        seen,
        name,
    )
