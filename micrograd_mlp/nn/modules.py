"""Neuron, Layer and MLP, written from Values as in the paper's scalar equations (§2, §3, §6).

Every node carries the paper's name: neuron 2 of layer 1 has the weights W1[2,1], W1[2,2], …, the bias
b1[2], the pre-activation z1[2] and the activation a1[2]. The inputs of the network are x[1], x[2], ….
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from micrograd_mlp._require import is_frame, is_sequence, random_generator, require_count, require_number
from micrograd_mlp.engine.micrograd import also_named
from micrograd_mlp.engine.table import dot
from micrograd_mlp.engine.value import Parameter, Value
from micrograd_mlp.files import load_document, require_fields, save_document, seal, some, unseal
from micrograd_mlp.nn.activations import Sigma, find_activation, name_or_function
from micrograd_mlp.nn.initializers import Initializer, initializer

if TYPE_CHECKING:
    import random


class Module:
    """What has parameters: a neuron, a layer or a network."""

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its name in the paper, such as W1[2,1] and b1[2]."""
        raise NotImplementedError  # each module says what it holds

    def parameters(self) -> list[Parameter]:
        """All weights and biases, neuron by neuron; in each neuron the weights come first."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Set every parameter's gradient to zero; `backward()` adds to what is there."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def state_dict(self) -> dict[str, float]:
        """The number of every parameter, by the parameter's name."""
        return {name: parameter.data for name, parameter in self._by_name().items()}

    def _by_name(self) -> dict[str, Parameter]:
        by_name: dict[str, Parameter] = {}
        for name, parameter in self.named_parameters():
            if by_name.setdefault(name, parameter) is not parameter:
                raise ValueError(
                    f"two parameters are called {name}: give modules numbers of their own, "
                    "as in Neuron(2, index=2) or Layer(2, 3, layer=2)"
                )
        return by_name

    def load_state_dict(self, d: dict[str, float]) -> None:
        """Set every parameter to its number in the `state_dict()` of a model with the same architecture.

        Raises:
            ValueError: a name is missing or unknown, or a number is not finite. The model is unchanged then.
        """
        require_fields("the state", d)
        own = self._by_name()
        missing, unknown = own.keys() - d.keys(), d.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"these parameters are of another model: {some(missing)} missing, {some(unknown)} unknown"
            )
        try:
            numbers = {name: require_number(name, number) for name, number in d.items()}
        except TypeError as error:
            raise ValueError(f"a parameter is not a number: {error}") from None
        for name, number in numbers.items():
            own[name].data = number


class Outputs(list[Value]):
    """The outputs of a layer: a list that says what to do when it is taken for one Value."""

    def __getattr__(self, name: str) -> Any:
        if hasattr(Value, name):
            raise AttributeError(
                f"this is a list of {len(self)} outputs, and .{name} belongs to one Value: take one of them, "
                "outputs[0], or compute a loss of all of them first, such as cross_entropy(outputs, y)"
            )
        raise AttributeError(f"a list of outputs has no attribute {name!r}")


class Neuron(Module):
    """a = σ(z) with z = Σₖ wₖxₖ + b (§2.1).

    Args:
        n_inputs: the number d of inputs x₁ … x_d, 1 or more.
        activation: σ, as a name in `ACTIVATIONS` such as "tanh", or as a function of one Value.
        init: how the weights are drawn. "auto" takes the initializer that suits the activation (§9); there
            are also the names in `INITIALIZERS`, and functions of (n_inputs, n_outputs, random.Random).
        seed: an int or a `random.Random`, for reproducible weights.
        layer: the number ℓ of the layer that the neuron's labels show.
        index: the number j of the neuron in its layer that the labels show.
        n_outputs: the number of neurons in the layer, for the initializer.

    Attributes:
        w: the weights, a list of Parameters.
        b: the bias, a Parameter.

    Raises:
        TypeError: `n_inputs` is not an int.
        ValueError: `n_inputs` is below 1, or there is no such activation or initializer.

    >>> neuron = Neuron(2, activation="tanh", seed=0)
    >>> neuron.w[0].data, neuron.w[1].data, neuron.b.data = 0.5, -1.0, 0.5
    >>> neuron([1.0, 1.0])
    Value(data=0.0, grad=0.0, label='a1[1]')
    """

    edition = object()  # another one when some neuron gets another activation: compiled programs look at it

    @also_named(nin="n_inputs")
    def __init__(
        self,
        n_inputs: int,
        activation: Sigma = "relu",
        init: str | Initializer = "auto",
        seed: int | random.Random | None = None,
        *,
        layer: int = 1,
        index: int = 1,
        n_outputs: int = 1,
    ) -> None:
        n_inputs = require_count("n_inputs", n_inputs, least=1)
        self.activation = activation
        draw, rng = initializer(init, activation), random_generator(seed)
        self.w = [
            Parameter(draw(n_inputs, n_outputs, rng), f"W{layer}[{index},{k}]")
            for k in range(1, n_inputs + 1)
        ]
        self.b = Parameter(0.0, f"b{layer}[{index}]")
        self._names = [p.label or "" for p in (*self.w, self.b)]
        self._z_label, self._a_label = f"z{layer}[{index}]", f"a{layer}[{index}]"

    @property
    def activation(self) -> Sigma:
        """σ, as a name or as a function of one Value."""
        return self._activation

    @activation.setter
    def activation(self, activation: Sigma) -> None:
        self.sigma = find_activation(activation).function
        if hasattr(self, "_activation"):
            Neuron.edition = object()
        self._activation = activation

    def __call__(self, x: Sequence[Value | float]) -> Value:
        """The activation a for the inputs x; there must be as many inputs as weights."""
        z = dot(self.w, x) + self.b
        z.label = self._z_label
        a: Value = self.sigma(z)
        if a is not z:
            a.label = self._a_label
        return a

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The weights w₁ … w_d and the bias b, with their names."""
        return zip(self._names, (*self.w, self.b))

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}, activation={_shown(self.activation)})"


class Layer(Module):
    """n neurons on the same inputs: zⱼ = Σₖ wₖ⁽ʲ⁾xₖ + bⱼ, aⱼ = σ(zⱼ), for j = 1 … n (§2.3).

    Args:
        n_inputs: the number d of inputs, 1 or more.
        n_outputs: the number n of neurons, 1 or more.
        activation: σ, as in `Neuron`.
        init: how the weights are drawn, as in `Neuron`.
        seed: an int or a `random.Random`, for reproducible weights.
        layer: the number ℓ of the layer that the labels show.

    Attributes:
        neurons: a list of `n_outputs` Neurons.

    Raises:
        TypeError: a size is not an int.
        ValueError: a size is below 1, or there is no such activation or initializer.

    >>> layer = Layer(3, 2, activation="sigmoid", seed=0)
    >>> len(layer([1.0, 2.0, 3.0])), len(layer.parameters())
    (2, 8)
    """

    @also_named(nin="n_inputs", nout="n_outputs")
    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activation: Sigma = "relu",
        init: str | Initializer = "auto",
        seed: int | random.Random | None = None,
        *,
        layer: int = 1,
    ) -> None:
        n_outputs = require_count("n_outputs", n_outputs, least=1)
        rng = random_generator(seed)
        self.neurons = [
            Neuron(n_inputs, activation, init, rng, layer=layer, index=j, n_outputs=n_outputs)
            for j in range(1, n_outputs + 1)
        ]

    def __call__(self, x: Sequence[Value | float]) -> list[Value]:
        """The activations a₁ … a_n, as a list also where there is only one."""
        return Outputs([neuron(x) for neuron in self.neurons])

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All weights and biases with their names, neuron by neuron."""
        for neuron in self.neurons:
            yield from neuron.named_parameters()

    def __repr__(self) -> str:
        first = self.neurons[0]
        return f"Layer({len(first.w)}, {len(self.neurons)}, activation={_shown(first.activation)})"


class MLP(Module):
    """A multilayer perceptron: a⁽⁰⁾ = x, z⁽ˡ⁾ = W⁽ˡ⁾a⁽ˡ⁻¹⁾ + b⁽ˡ⁾, a⁽ˡ⁾ = σ⁽ˡ⁾(z⁽ˡ⁾), ŷ = a⁽ᴸ⁾ (§3.1).

    Args:
        n_inputs: the number of features of an example, 1 or more.
        layer_sizes: the number of neurons in each layer; the last layer gives the outputs.
        activation: σ of the hidden layers, as in `Neuron`; a list gives each hidden layer its own.
        output_activation: σ of the last layer; None means linear, for logits and regression.
        init: how the weights are drawn, as in `Neuron`.
        seed: an int or a `random.Random`, for reproducible weights. Without a seed the module `random` draws.

    Attributes:
        layers: a list of Layers.
        activations: σ of each layer, by name or as a function.

    Raises:
        TypeError: a size is not an int.
        ValueError: there are no layers, a size is below 1, or there is no such activation or initializer.

    >>> model = MLP(2, [16, 16, 1], seed=0)
    >>> y_hat = model([0.5, -1.0])
    >>> y_hat.label, len(model.parameters())
    ('z3[1]', 337)
    """

    @also_named(nin="n_inputs", nouts="layer_sizes")
    def __init__(
        self,
        n_inputs: int,
        layer_sizes: Sequence[int],
        activation: Sigma | Sequence[Sigma] = "relu",
        output_activation: Sigma | None = None,
        init: str | Initializer = "auto",
        seed: int | random.Random | None = None,
    ) -> None:
        sizes = list(layer_sizes) if is_sequence(layer_sizes) else None
        if not sizes:
            raise ValueError(
                f"layer_sizes must list at least one layer, such as [16, 1], got {layer_sizes!r}"
            )
        n_hidden = len(sizes) - 1
        hidden: list[Any] = list(activation) if is_sequence(activation) else [activation] * n_hidden
        if len(hidden) != n_hidden:
            raise ValueError(f"{len(hidden)} activations for {n_hidden} hidden layers: give one for each")
        rng = random_generator(seed)
        self.n_inputs = n_inputs
        self.activations = [name_or_function(sigma) for sigma in (*hidden, output_activation or "linear")]
        self.layers = [
            Layer(d, n, sigma, init, rng, layer=number)
            for number, (d, n, sigma) in enumerate(zip([n_inputs, *sizes], sizes, self.activations), start=1)
        ]

    def __call__(self, x: Sequence[Value | float]) -> Any:
        """ŷ for one example.

        Args:
            x: the features of the example, `n_inputs` numbers or Values.

        Returns:
            A Value if the network has one output, else a list of Values.

        Raises:
            ValueError: x is not a list of `n_inputs` numbers.
        """
        _require_example(x, self.n_inputs)
        a = [x_k if isinstance(x_k, Value) else Value(x_k, f"x[{k}]") for k, x_k in enumerate(x, start=1)]
        for layer in self.layers:
            a = layer(a)
        return a[0] if len(a) == 1 else a

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All weights and biases with their names, layer by layer and neuron by neuron."""
        for layer in self.layers:
            yield from layer.named_parameters()

    def __repr__(self) -> str:
        sizes = [len(layer.neurons) for layer in self.layers]
        sigmas = ", ".join(_shown(sigma) for sigma in self.activations)
        return f"MLP({self.n_inputs}, {sizes}, activations=[{sigmas}])"

    def config(self) -> dict[str, Any]:
        """The architecture as plain data; `MLP(**config)` builds a network of the same architecture.

        Raises:
            ValueError: an activation is a function of the user's own, or the network was edited so that it
                computes something else than this.
        """
        require_activations(self)
        _require_names(self)
        for sigma in self.activations:
            if not isinstance(sigma, str):
                raise ValueError(
                    f"the activation {_shown(sigma)} is a function, which a file can't hold: save "
                    "state_dict() instead, and build the MLP in your program"
                )
        return {
            "n_inputs": self.n_inputs,
            "layer_sizes": [len(layer.neurons) for layer in self.layers],
            "activation": self.activations[:-1],
            "output_activation": self.activations[-1],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the architecture and the parameters as JSON, exact to the last bit.

        An existing file is replaced whole or, if something goes wrong, not at all.

        Raises:
            OSError: the file can't be written.
            ValueError: an activation is a function of the user's own, or a parameter is not finite.
        """
        save_document(path, FORMAT, self._content(), indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MLP:
        """The network that `save` wrote.

        Raises:
            OSError: there is no such file, or it can't be read.
            ValueError: the file is not a saved model, was cut short or damaged, or does not fit together.
        """
        return load_document(path, FORMAT, cls.from_dict)

    def to_dict(self) -> dict[str, Any]:
        """What `save` writes, as plain data; `from_dict` builds the network from it.

        Raises:
            ValueError: an activation is a function of the user's own, or a parameter is not finite.
        """
        return seal(FORMAT, self._content())

    def _content(self) -> dict[str, Any]:
        config, parameters = self.config(), self.state_dict()
        for name, number in parameters.items():
            if not math.isfinite(number):
                raise ValueError(f"{name} is {number!r}: a file holds finite parameters only")
        return {"model": config, "parameters": parameters}

    @classmethod
    def from_dict(cls, content: Any) -> MLP:
        """The network from what `to_dict` gave.

        Raises:
            TypeError: a size is not an int.
            ValueError: fields are missing, unknown or do not fit together.
        """
        content = unseal(FORMAT, content, ["model", "parameters"])
        config, parameters = content["model"], content["parameters"]
        require_fields("model", config, ["n_inputs", "layer_sizes", "activation", "output_activation"])
        require_fields("parameters", parameters)
        sizes = [config["n_inputs"], *_list_of(int, "layer_sizes", config["layer_sizes"])]
        sizes = [require_count("a size", size, least=1) for size in sizes]
        n_parameters = sum((d + 1) * n for d, n in itertools.pairwise(sizes))
        if n_parameters != len(parameters):  # before anything of that size is built
            raise ValueError(f"sizes {sizes} have {n_parameters} parameters, the file has {len(parameters)}")
        names = [*_list_of(str, "activation", config["activation"]), config["output_activation"]]
        for name in names:
            find_activation(name if isinstance(name, str) else repr(name))
        model = cls(**config, seed=0)
        model.load_state_dict(parameters)
        return model


FORMAT = "micrograd_mlp model"


def require_activations(model: MLP) -> None:
    """Check that the neurons of a network compute what its `activations` say, from which files are written.

    Raises:
        ValueError: neurons or layers were edited.
    """
    if len(model.layers) != len(model.activations):
        _refuse_edited(f"there are {len(model.layers)} layers and {len(model.activations)} activations")
    for layer, sigma in zip(model.layers, model.activations):
        described = find_activation(sigma)
        for neuron in layer.neurons:
            if neuron.sigma is not described.function:
                seen = f"{neuron._a_label} is computed by {find_activation(neuron.sigma).name}"
                _refuse_edited(f"{seen}, and its layer by {described.name}")


def _require_names(model: MLP) -> None:
    """Check that every parameter is where its name says."""
    n_inputs = model.n_inputs
    for number, layer in enumerate(model.layers, start=1):
        for index, neuron in enumerate(layer.neurons, start=1):
            if neuron._a_label != f"a{number}[{index}]":
                _refuse_edited(f"{neuron._a_label} is neuron {index} of layer {number}")
            for n in (n_inputs, len(neuron._names) - 1):
                if len(neuron.w) != n:
                    _refuse_edited(f"{neuron._a_label} has {len(neuron.w)} weights for {n} inputs")
        n_inputs = len(layer.neurons)


def _refuse_edited(seen: str) -> None:
    raise ValueError(
        f"{seen}: the network was edited, and a file would hold another one. Build an MLP of these sizes "
        "and activations, and give its parameters their numbers"
    )


def _require_example(x: Any, n_inputs: int) -> None:
    if is_sequence(x) and len(x) == n_inputs and not is_sequence(next(iter(x))):
        return
    hint = ""
    if is_frame(x):
        hint = ": this is a table, so write [model(x) for x in table.to_numpy()]"
    elif is_sequence(x) and len(x) and is_sequence(next(iter(x))):
        hint = ": this is a table of examples, so write [model(x) for x in X]"
    seen = len(x) if is_sequence(x) and not hint else f"{x!r:.60}"
    raise ValueError(f"the model takes {n_inputs} inputs for an example, got {seen}{hint}")


def _shown(sigma: Sigma) -> str:
    """How a `repr` and an error show an activation: a name in quotes, or a function's own name."""
    return repr(sigma) if isinstance(sigma, str) else find_activation(sigma).name


def _list_of(kind: type, what: str, content: Any) -> list[Any]:
    if not isinstance(content, list) or not all(isinstance(x, kind) for x in content):
        raise ValueError(f"{what} must be a list of {kind.__name__}, got {content!r:.40}")
    return content
