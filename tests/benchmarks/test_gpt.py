"""The GPT of scalars is one program: in either arithmetic, in a plain Value's, and compiled."""

import random

import pytest

from tests.benchmarks import gpt
from tests.benchmarks.plain_value import Plain

X, Y = gpt.example("mira")


def small(**arguments):
    return gpt.GPT(width=4, n_heads=2, n_positions=5, **arguments)


def loss_and_gradient(model):
    loss = model.loss(X, Y)
    loss.backward()
    return loss.data, [p.grad for p in model.parameters()]


def test_the_example_has_a_dot_before_the_name_and_one_behind():
    assert (X, Y) == ([0, 13, 9, 18, 1], [13, 9, 18, 1, 0])


def test_the_gradient_of_every_kind_of_parameter_is_that_of_a_difference():
    model = small()
    _, gradient = loss_and_gradient(model)
    parameters = model.parameters()
    chosen = random.Random(0).sample([k for k, slope in enumerate(gradient) if abs(slope) > 1e-3], 12)
    for k in chosen:
        start, h = parameters[k].data, 1e-6
        parameters[k].data = start + h
        above = model.loss(X, Y).data
        parameters[k].data = start - h
        below = model.loss(X, Y).data
        parameters[k].data = start
        assert (above - below) / (2 * h) == pytest.approx(gradient[k], rel=1e-5)


@pytest.mark.parametrize("parameter", [gpt.Parameter, Plain], ids=["Value", "plain"])
def test_scalars_give_the_numbers_that_dot_and_softmax_give(parameter):
    loss, gradient = loss_and_gradient(small())
    scalar_loss, scalar_gradient = loss_and_gradient(small(parameter=parameter, arithmetic=gpt.SCALARS))
    assert scalar_loss == pytest.approx(loss, rel=1e-13)
    assert scalar_gradient == pytest.approx(gradient, rel=1e-9, abs=1e-15)
    assert max(map(abs, gradient)) > 0.1


def test_one_compiled_program_serves_every_name_of_its_length():
    pytest.importorskip("llvmlite", reason='needs pip install "micrograd_mlp[compile]"')
    from micrograd_mlp import compile

    model = small()
    program = compile(model.loss, model.parameters())
    names = [gpt.example(name) for name in ("mira", "kebe", "urus")]
    loss, gradient = program.loss_and_grad([x for x, _ in names], [y for _, y in names])
    eager = [model.loss(x, y) for x, y in names]
    assert loss == pytest.approx(sum(one.data for one in eager) / 3, rel=1e-12)
    for one in eager:
        one.backward(1 / 3)
    assert list(gradient) == pytest.approx([p.grad for p in model.parameters()], rel=1e-9, abs=1e-14)
