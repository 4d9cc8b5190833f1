"""The formulas of the command line: what is understood, and what each mistake is told."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import Value, ops
from micrograd_mlp.app.formulas import ExpressionError, parse, parse_assignment

NUMBERS = {"x": 0.75, "y": 0.5, "z": 2.0}


def evaluate(text):
    expression = parse(text)
    return expression({name: Value(NUMBERS[name], name) for name in expression.names})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", 0.75),
        ("x + y*z", 1.75),
        ("(x + y)*z", 2.5),
        ("x - y - z", -1.75),
        ("x / y / z", 0.75),
        ("2**3**x", 2 ** (3**0.75)),
        ("-x**2", -(0.75**2)),
        ("(-x)**2", 0.75**2),
        ("+x - -y", 1.25),
        ("1e3*x + .5", 750.5),
        ("0x10*x", 12.0),
        ("tanh(x)", math.tanh(0.75)),
        ("maximum(x, y) + minimum(x, y)", 1.25),
        ("pow(x, 2) + add(x, y)", 0.75**2 + 1.25),
        ("total(x, y, z)", 3.25),
        ("total([x, y], z)", 3.25),
        ("dot([x, y], [z, 4])", 3.5),
        ("logsumexp(x, x)", 0.75 + math.log(2)),
        ("  x\n + \t y ", 1.25),
        ("9**9**9 * x", math.inf),
        ("x / 0", math.inf),
    ],
)
def test_a_formula_is_computed(text, expected):
    assert evaluate(text).data == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(ops.TABLE))
def test_every_function_of_the_table_can_be_called(name):
    op = ops.TABLE[name]
    text = "dot([x], [y])" if name == "dot" else f"{name}({', '.join(['x', 'y', 'z'][: op.arity or 2])})"
    assert evaluate(text).op is op


def test_a_name_is_one_leaf_wherever_it_stands():
    result = parse("x*x + y")
    x, y = Value(3.0, "x"), Value(1.0, "y")
    result({"x": x, "y": y}).backward()
    assert (result.names, x.grad, y.grad) == (("x", "y"), 6.0, 1.0)


def test_an_expression_is_used_again_with_other_values():
    square = parse("x**2")
    assert [square({"x": Value(n)}).data for n in (2.0, 3.0)] == [4.0, 9.0]


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "the expression is empty", None),
        ("  ", "the expression is empty", None),
        ("tanh(w*x + b", r"'\(' was never closed", 4),
        ("x +", "invalid syntax", 3),
        ("x y", "invalid syntax", 2),
        ("é + ü*@", "invalid syntax", 6),
        ("2 + x^2", r"\^ does not mean a power here: write x\*\*2", 5),
        ("(é + x) ^ 2", r"\^ does not mean a power here: write x\*\*2", 8),
        ("x + tahn(y)", "no function 'tahn'; did you mean tanh?", 4),
        ("ü + qqq(y)", "no function 'qqq'; there are add, sub", 4),
        ("x + tanh", r"tanh is a function: write tanh\(…\)", 4),
        ("tanh(x, y)", r"tanh takes 1 input\(s\), got 2", 0),
        ("total()", "total takes at least one input", 0),
        ("dot([x, y], [z])", "dot takes two lists of one length", 0),
        ("dot(x)", "dot takes two lists of one length", 0),
        ("1 + 2", "has no variable", 0),
        ("x + True", "only numbers, names", 4),
        ("x + 1j", "only numbers, names", 4),
        ("x + 'a'", "only numbers, names", 4),
        ("y + x.real", "only numbers, names", 4),
        ("x[0]", "only numbers, names", 0),
        ("[x]", "only numbers, names", 0),
        ("x < y", "only numbers, names", 0),
        ("x if y else z", "only numbers, names", 0),
        ("lambda: x", "only numbers, names", 0),
        ("tanh(x=1)", "only numbers, names", 0),
        ("tanh(*x)", "only numbers, names", 5),
        ("__import__('os').system('true')", "only numbers, names", 0),
        ("().__class__", "only numbers, names", 0),
        ("x % 2", "only numbers, names", 0),
        ("~x", "only numbers, names", 0),
        ("x; y", "invalid syntax", 1),
        ("x\0", "null", 2),
        ("x + \udc80", "surrogates not allowed", 0),
        ("x*1" + "0" * 400, "the number is too large", 2),
    ],
)
def test_a_mistake_is_named_and_marked(text, message, column):
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    if column is None:
        assert len(lines) == 1
    else:
        assert lines[-1] == "  " + " " * column + "^"


def test_the_mark_stays_near_in_a_long_formula():
    with pytest.raises(ExpressionError) as caught:
        parse("x*x" + " + x*x" * 30 + " + x.y" + " + x*x" * 100)
    _, shown, mark = str(caught.value).splitlines()
    assert shown[mark.index("^") :].startswith("x.y")
    assert len(shown) < 110


@pytest.mark.parametrize(
    "nested", ["(" * 5000 + "x" + ")" * 5000, "-" * 9000 + "x", "x" + "+x" * 4000, "x[" * 3000]
)
def test_deep_nesting_is_refused(nested):
    with pytest.raises(ExpressionError, match="nested"):
        parse(nested[:10_000])


def test_long_text_is_refused():
    with pytest.raises(ExpressionError, match="10,001 characters, more than 10,000"):
        parse("x" * 10_001)


def test_sums_of_many_terms_are_understood():
    assert evaluate("+".join(["x"] * 200)).data == pytest.approx(150.0)


def test_assignments():
    assert parse_assignment("w=0.5") == ("w", 0.5)
    assert parse_assignment(" b = -1e3 ") == ("b", -1000.0)
    assert parse_assignment("ﬁ=1") == ("fi", 1.0)
    assert parse("ﬁ + 1").names == ("fi",), "Python reads the ligature as two letters, so it must match"


@pytest.mark.parametrize(
    "text", ["w", "=1", "w 1", "1=2", "w.x=1", "", "w==1", "w=", "w=a", "w=nan", "w=inf"]
)
def test_other_assignments_are_refused(text):
    with pytest.raises(ExpressionError, match="expected a"):
        parse_assignment(text)


@given(st.text(alphabet="xyzwtan0123456789.eE+-*/^()[], \t_=<>'\"\\#:;é²", max_size=40))
def test_any_text_is_a_formula_or_a_clear_error(text):
    with contextlib.suppress(ExpressionError):
        expression = parse(text)
        result = expression({name: Value(0.5, name) for name in expression.names})
        assert isinstance(result, Value)
