"""What f can reach besides its arguments: Values that it uses outside of the graph, numbers that change."""

import functools
import math
import types

import pytest

from micrograd_mlp import MLP, SGD, Module, Neuron, Value, fit, no_grad, primitive, squared_error, total

np = pytest.importorskip("numpy")
pytest.importorskip("llvmlite")
from micrograd_mlp.compiled.reached import MOST_HARMLESS, MOST_WATCHED, Reached  # noqa: E402

X = [1.0, 2.0]
global_value = Value(2.0)
global_number = 2.0


def doubled(c):
    with no_grad():
        return c * 2.0


@no_grad
def doubled_by_decorator(c):
    return c * 2.0


class Scaled:
    """f as an object, or as a method of one."""

    offset = 1.0

    def __init__(self, w, scale):
        self.w, self.scale = w, scale

    @property
    def doubled_scale(self):
        return doubled(self.scale) if isinstance(self.scale, Value) else 2.0 * self.scale

    def __call__(self, x):
        return self.w * x * self.doubled_scale + self.offset

    def method(self, x):
        return self(x)


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


def in_closure(w, c):
    def f(x):
        with no_grad():
            k = c * 2.0
        return w * x * k

    return f


def in_global(w, c):
    return lambda x: w * x * doubled(global_value)


def in_model(w, c):
    model = MLP(1, [1], seed=0)
    model.layers[0].neurons[0].b = c
    return lambda x: w * x * no_grad(lambda: model([1.0]))()


OUTSIDE_OF_THE_GRAPH = {
    "in the closure": in_closure,
    "in a global": in_global,
    "in a model": in_model,
    "by a helper": lambda w, c: lambda x: w * x * doubled(c),
    "by a decorated helper": lambda w, c: lambda x: w * x * doubled_by_decorator(c),
    "by a helper of a helper": lambda w, c: (lambda h: lambda x: w * x * h())(lambda: doubled(c)),
    "in a list": lambda w, c: (lambda cs: lambda x: w * x * doubled(cs[0]))([c]),
    "in a dict of tuples": lambda w, c: (lambda cs: lambda x: w * x * doubled(cs["a"][0]))({"a": (c,)}),
    "in an array": lambda w, c: (lambda cs: lambda x: w * x * doubled(cs[0]))(np.array([c])),
    "in an attribute": lambda w, c: (lambda a: lambda x: w * x * doubled(a.c))(types.SimpleNamespace(c=c)),
    "in a slot": lambda w, c: (lambda a: lambda x: w * x * doubled(a.number))(Slotted(c)),
    "in a default": lambda w, c: lambda x, c=c: w * x * doubled(c),
    "in a keyword's default": lambda w, c: lambda x, *, c=c: w * x * doubled(c),
    "in a partial": lambda w, c: functools.partial(lambda c, x: w * x * doubled(c), c),
    "in an object": Scaled,
    "in the object of a method": lambda w, c: Scaled(w, c).method,
    "as text": lambda w, c: lambda x: w * x * float(f"{c:.3f}"),
}


@pytest.mark.parametrize("name", OUTSIDE_OF_THE_GRAPH)
def test_a_value_that_f_uses_outside_of_the_graph_is_refused(compile, name):
    """Else the number that it has now would be used for ever."""
    w, c = Value(1.5), Value(2.0)
    with pytest.raises(RuntimeError, match="for moved Values that are no parameters"):
        compile(OUTSIDE_OF_THE_GRAPH[name](w, c), [w])(X)
    assert (w.data, c.data, global_value.data) == (1.5, 2.0, 2.0)


@pytest.mark.parametrize(
    "read", [lambda c: c.data, lambda c: Value(c.data), lambda c: np.array([c.data]).sum()]
)
def test_a_number_taken_out_of_a_value_that_f_uses_nowhere_else_is_refused(compile, read):
    w, c = Value(1.5), Value(2.0)
    with pytest.raises(RuntimeError, match=r"for moved Values that are no parameters.*reads `\.data`"):
        compile(lambda x: w * x * read(c), [w])(X)


def test_also_through_fit():
    """There f is a method of the package, which calls the user's model and loss."""
    w, c = Value(1.5), Value(2.0)
    with pytest.raises(RuntimeError, match="for moved Values that are no parameters"):
        fit(
            lambda x: w * x[0],
            lambda prediction, y: squared_error(prediction, y) * doubled(c),
            [[1.0], [2.0]],
            [1.0, 2.0],
            SGD([w], lr=0.01),
            epochs=1,
            compiled=True,
        )


def test_values_that_f_reaches_and_does_not_compute_with_may_move(compile):
    w, unused = Value(1.5), [Value(7.0)]

    def f(x):
        return w * x if unused else w

    program = compile(f, [w])
    assert program(X) == 2.25
    unused[0].data = 8.0
    assert program(X) == 2.25


def test_installed_libraries_are_not_searched():
    w = Value(1.5)
    reached = Reached(lambda x: w * x * pytest.approx(x))
    assert [place.name for place in reached.places] == ["w"]


# Numbers that change


class Frozen:
    """f with a number in one place, and how to change it there."""

    @staticmethod
    def closure(w):
        scale = 2.0

        def change(number):
            nonlocal scale
            scale = number

        return (lambda x: w * x * scale), change, "scale was 2.0 and is 3.0"

    @staticmethod
    def global_name(w):
        def change(number):
            global global_number
            global_number = number

        return (lambda x: w * x * global_number), change, "global_number was 2.0 and is 3.0"

    @staticmethod
    def helper(w):
        f, change, what = Frozen.global_name(w)
        return (lambda x: f(x) * 1.0), change, what

    @staticmethod
    def name_in_a_function_within(w):
        _, change, what = Frozen.global_name(w)
        return (lambda x: w * x * (lambda: global_number)()), change, what

    @staticmethod
    def attribute_of_a_function(w):
        def f(x):
            return w * x * f.scale

        f.scale = 2.0
        return f, lambda number: setattr(f, "scale", number), "f.scale was 2.0 and is 3.0"

    @staticmethod
    def attribute_behind_a_method(w):
        method, change, what = Frozen.attribute_of_self(w)
        return (lambda x: method(x)), change, what

    @staticmethod
    def attribute_of_self(w):
        scaled = Scaled(w, 2.0)
        return scaled.method, lambda number: setattr(scaled, "scale", number), "self.scale was 2.0 and is 3.0"

    @staticmethod
    def attribute_of_a_class(w):
        return (
            Scaled(w, 2.0),
            lambda number: setattr(Scaled, "offset", number - 1.0),
            "self.offset was 1.0 and",
        )

    @staticmethod
    def slot(w):
        box = Slotted(2.0)
        return (
            (lambda x: w * x * box.number),
            lambda n: setattr(box, "number", n),
            "box.number was 2.0 and is 3.0",
        )

    @staticmethod
    def list_element(w):
        rates = [1.0, 2.0]
        change = functools.partial(rates.__setitem__, 1)
        return (lambda x: w * x * rates[1]), change, r"rates was \[1.0, 2.0\] and is \[1.0, 3.0\]"

    @staticmethod
    def length_of_a_list(w):
        rates = [2.0]
        return (lambda x: w * x * sum(rates)), lambda n: rates.append(n - 2.0), r"rates was \[2.0\] and"

    @staticmethod
    def dict_entry(w):
        config = {"scale": 2.0}
        change = functools.partial(config.__setitem__, "scale")
        return (lambda x: w * x * config["scale"]), change, "config was {'scale': 2.0} and is"

    @staticmethod
    def array(w):
        rates = np.array([1.0, 2.0])
        change = functools.partial(rates.__setitem__, 1)
        return (lambda x: w * x * rates[1]), change, "rates has changed"

    @staticmethod
    def constant(w):
        scale = doubled(Value(1.0))
        return (lambda x: w * x * scale), lambda n: setattr(scale, "data", n), "scale.data was 2.0 and is 3.0"

    @staticmethod
    def activation_of_a_neuron(w):
        neuron = Neuron(1, activation=lambda z: z * 2.0, seed=0)
        neuron.w, neuron.b = [w], Value(0.0)

        def change(number):
            neuron.activation = functools.partial(lambda n, z: z * n, number)

        return (lambda x: neuron([x])), change, "the activation of a neuron has changed"

    @staticmethod
    def function(w):
        def act(z):
            return z * 2.0

        def change(number):
            nonlocal act
            act = functools.partial(lambda n, z: z * n, number)

        return (lambda x: act(w * x)), change, "act has changed"

    @staticmethod
    def function_in_an_attribute(w):
        box = types.SimpleNamespace(act=lambda z: z * 2.0)
        return (
            (lambda x: box.act(w * x)),
            lambda n: setattr(box, "act", lambda z: z * n),
            "box.act has changed",
        )

    @staticmethod
    def another_value(w):
        scale = Value(2.0)

        def change(number):
            nonlocal scale
            scale = Value(number)

        return (lambda x: w * x * scale), change, "scale has changed"


PLACES = [name for name in vars(Frozen) if not name.startswith("_")]


@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_has_changed_since_is_named(compile, place):
    w = Value(1.5)
    f, change, what = getattr(Frozen, place)(w)
    program = compile(f, [w])
    before = program(X)
    calls = [
        lambda: program(X),
        lambda: program.loss_and_grad(X),
        lambda: program.predict(X),
        lambda: program.train(SGD([w], lr=0.1), X, steps=1),
    ]
    change(3.0)
    for call in calls:
        with pytest.raises(RuntimeError, match=f"since f was recorded, {what}.*make it a Value"):
            call()
    assert w.data == 1.5
    assert compile(f, [w])(X) == pytest.approx(sum(f(Value(x)).data for x in X) / 2)
    if place != "length_of_a_list":
        change(2.0)
        assert program(X) == before


def test_without_examples_too(compile):
    w, rates = Value(1.5), [2.0]
    program = compile(lambda: w * rates[0], [w])
    assert program() == 3.0
    rates[0] = 3.0
    with pytest.raises(RuntimeError, match=r"rates was \[2.0\] and is \[3.0\]"):
        program()


def test_a_change_that_only_shows_at_other_inputs_is_found(compile):
    """At the recorded example 1.0 the bound makes no difference."""
    w, bound = Value(1.5), 50.0

    def f(x):
        return (w * x).clip(-1e9, bound)

    program = compile(f, [w])
    program([1.0])
    bound = 5.0
    with pytest.raises(RuntimeError, match=r"bound was 50\.0 and is 5\.0: .* for moved inputs x"):
        program([1.0])


def test_a_number_that_only_a_derivative_reads_is_named_too(compile):
    """The outputs are the same, but the gradient is not."""
    w, slope = Value(1.5), 1.0

    @primitive(partials=lambda out, z: (slope,))
    def same(z):
        return z * 1.0

    program = compile(lambda x: same(w * x), [w])
    assert program.loss_and_grad(X)[1] == 1.5
    slope = 3.0
    for _ in range(5):
        with pytest.raises(
            RuntimeError, match=r"slope was 1\.0 and is 3\.0, which the derivative of same reads"
        ):
            program(X)
    assert compile(program.f, [w]).loss_and_grad(X)[1] == 4.5


def test_a_derivative_that_is_called_in_python_reads_what_is_there_now(compile):
    w, slope, n = Value(1.5), 1.0, 0

    @primitive(partials=lambda out, z: (slope,))
    def same(z):
        return float(f"{z}")

    def f(x):
        nonlocal n
        n += 1
        return same(w * x)

    program = compile(f, [w])
    assert program.loss_and_grad(X)[1] == 1.5
    slope = 3.0
    assert program.loss_and_grad(X)[1] == 4.5
    compared = n
    assert program.loss_and_grad(X)[1] == 4.5
    assert n == compared


def test_each_shape_remembers_what_it_was_recorded_with(compile):
    w, scale = Value(1.5), 2.0
    program = compile(lambda *x: w * scale + total([total(a) for a in x]) * 0.0, [w])
    assert program() == 3.0
    scale = 3.0
    assert program([[1.0, 1.0]]) == 4.5
    with pytest.raises(RuntimeError, match=r"scale was 2.0 and is 3.0"):
        program()


def test_a_model_that_is_replaced_is_noticed(compile):
    model = MLP(1, [1], seed=0)
    program = compile(lambda x: model([x]), model.parameters())
    program(X)
    model = MLP(1, [1], seed=1)
    with pytest.raises(RuntimeError, match="model has changed"):
        program(X)


# What changes and makes no difference


def test_a_counter_and_a_log_in_f_are_no_change(compile):
    w, n, log = Value(1.5), 0, []

    def f(x):
        nonlocal n
        n += 1
        log.append(x.data)
        return w * x

    program = compile(f, [w])
    assert program(X) == 2.25
    called = n
    assert [program(X) for _ in range(5)] == [2.25] * 5
    assert n == called, "f was called again, though nothing outside has changed"


def test_what_changes_in_every_call_is_compared_a_few_times_and_then_left_alone(compile):
    w, n, epoch, scale = Value(1.5), 0, 0, 2.0

    def f(x):
        nonlocal n
        n += 1
        assert epoch >= 0
        return w * x * scale

    program = compile(f, [w])
    program(X)
    evaluations = []
    for epoch in range(1, MOST_HARMLESS + 4):  # noqa: B007  (f reads it)
        before = n
        assert program(X) == 4.5
        evaluations.append(n - before)
    assert all(evaluations[:MOST_HARMLESS])
    assert not any(evaluations[MOST_HARMLESS:])
    scale = 3.0
    with pytest.raises(RuntimeError, match=r"scale was 2\.0 and is 3\.0: now f gives"):
        program(X)


def test_nan_is_no_change():
    missing, numbers = math.nan, [math.nan]
    assert not Reached(lambda x: x if missing != 1.0 and numbers else x * x).has_changed()


def test_a_name_that_is_deleted_says_what_python_says(compile):
    w, box = Value(1.5), types.SimpleNamespace(scale=2.0)
    program = compile(lambda x: w * x * box.scale, [w])
    program(X)
    del box.scale
    with pytest.raises(AttributeError, match="scale"):
        program(X)


# What is searched


class Strange:
    """It raises KeyError for a name that it does not have, as objects around a dict do."""

    __slots__ = ()

    def method(self):
        return True

    def __getattr__(self, name):
        raise KeyError(name)


def test_an_object_that_answers_strangely_is_no_error(compile):
    w, strange = Value(1.5), Strange()

    class Holder(Strange):
        strange = Strange()

        def __call__(self, x):
            return w * x if strange.method() and self.strange else w

    holder = Holder()
    assert compile(lambda x: holder(x), [w])(X) == 2.25


def test_activations_are_watched_at_once_for_all_models():
    """To look at each neuron takes 4 µs a call for the moons network, 5% of it."""
    first, second = [MLP(2, [3, 1], activation="tanh", seed=0) for _ in range(2)]
    reached = Reached(lambda x: first(x) + second(x))
    assert [place.name for place in reached.places] == ["first", "second", "the activation of a neuron"]
    MLP(2, [3, 1], seed=0)
    assert not reached.has_changed()
    second.layers[0].neurons[2].activation = "relu"
    assert [what for _, what in reached.changes()] == ["the activation of a neuron has changed"]


def test_only_what_code_names_is_reached():
    holder = types.SimpleNamespace(scale=2.0, epoch=1, rows=[[1.0]] * 1000, others=[Value(1.0)])
    reached = Reached(lambda x: x * holder.scale * math.pi)
    assert [place.name for place in reached.places] == ["holder", "holder.scale"]
    assert not reached.values


def test_the_search_ends_in_circles_and_in_large_data(monkeypatch):
    circle = types.SimpleNamespace(weight=Value(1.0), rows=[[float(k)] for k in range(30_000)])
    circle.again, circle.list = circle, [circle]
    reached = Reached(lambda x: circle.again.list[0].weight * x + circle.rows[0][0])
    assert list(reached.values) == [circle.weight]
    assert len(reached.places) == MOST_WATCHED


def test_libraries_are_not_searched():
    reached = Reached(lambda x: squared_error(np.mean([x.data]), math.sqrt(2.0)))
    assert reached.places == []


def test_a_module_of_the_users_own_is_searched_by_names(compile):
    class Mine(Module):
        def __init__(self):
            self.w, self.c = Value(1.5), Value(2.0)

        def __call__(self, x):
            return self.w * x * doubled(self.c)

    mine = Mine()
    with pytest.raises(RuntimeError, match="for moved Values that are no parameters"):
        compile(lambda x: mine(x), [mine.w])(X)
