"""Networks and optimizers for PyTorch, with the same numbers, and the way back (§2.3, §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from micrograd_mlp.export.counterparts import record_of, require_package
from micrograd_mlp.export.source import loss_function
from micrograd_mlp.nn.activations import ACTIVATIONS, Activation
from micrograd_mlp.nn.modules import MLP, require_activations
from micrograd_mlp.optim import SGD, Adam, Momentum, Optimizer, RMSProp

if TYPE_CHECKING:
    from micrograd_mlp.compiled import Program


def to_torch(model: MLP | Program) -> Any:
    """A network as a `torch.nn.Sequential`, or a compiled program as a function of tensors.

    Args:
        model: an MLP whose activations have names; or what `compile` returned, after its first call.

    Returns:
        For an MLP `Linear` modules and activations in turn, in float64, with the same weights and outputs.
        It takes a tensor of shape (batch, inputs) and returns one of shape (batch, outputs), also where the
        model has one output. For a program the function `loss(theta, X, Y)` that `to_source` writes.

    Raises:
        ImportError: PyTorch is missing; the message names the extra.
        TranslationError: the program has an operation that PyTorch has no words for.
        ValueError: an activation is a function of your own, which PyTorch doesn't have; or the program was
            not called yet.

    >>> network = to_torch(MLP(2, [16, 1], activation="tanh", seed=0))
    >>> network
    Sequential(
      (0): Linear(in_features=2, out_features=16, bias=True)
      (1): Tanh()
      (2): Linear(in_features=16, out_features=1, bias=True)
    )
    """
    torch = require_package("torch", "torch")
    if not isinstance(model, MLP):
        return loss_function(model, "torch")
    require_activations(model)
    modules: list[Any] = []
    for layer, activation in zip(model.layers, model.activations):
        n_outputs, n_inputs = len(layer.neurons), len(layer.neurons[0].w)
        linear = torch.nn.Linear(n_inputs, n_outputs, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(_tensor(torch, [[w.data for w in n.w] for n in layer.neurons]))
            linear.bias.copy_(_tensor(torch, [n.b.data for n in layer.neurons]))
        modules.append(linear)
        twin = _torch_activation(torch, record_of(activation))
        if not isinstance(twin, torch.nn.Identity):
            modules.append(twin)
    return torch.nn.Sequential(*modules)


def _torch_activation(torch: Any, record: Activation) -> Any:
    return getattr(torch.nn, record.torch or "")(**record.torch_arguments)


def from_torch(network: Any) -> MLP:
    """The MLP with the weights of a `torch.nn.Sequential`: the way back from `to_torch`.

    Args:
        network: `Linear` modules, each followed by at most one of Sigmoid, Tanh, ReLU, LeakyReLU(0.01)
            and Softplus(). Numbers of any precision are taken as they are; a missing bias is 0.

    Raises:
        ImportError: PyTorch is missing; the message names the extra.
        TypeError: it is not a `Sequential`.
        ValueError: a module is one that an MLP has no counterpart for, or the sizes do not fit.

    >>> model = MLP(2, [16, 1], activation="tanh", seed=0)
    >>> from_torch(to_torch(model)).state_dict() == model.state_dict()
    True
    """
    torch = require_package("torch", "torch")
    if not isinstance(network, torch.nn.Sequential):
        hint = ": give its .module" if hasattr(network, "module") else ""
        raise TypeError(f"expected a torch.nn.Sequential, got {type(network).__name__}{hint}")
    linears: list[Any] = []
    activations: list[str | None] = []  # None: a Linear whose activation has not come yet
    for position, module in enumerate(network):
        if isinstance(module, torch.nn.Linear):
            if linears and linears[-1].out_features != module.in_features:
                raise ValueError(
                    f"module {position} takes {module.in_features} inputs, the one before it gives "
                    f"{linears[-1].out_features}"
                )
            linears.append(module)
            activations.append(None)
        elif activations and activations[-1] is None:
            activations[-1] = _name_of_torch_activation(torch, position, module)
        else:
            raise ValueError(f"module {position}, {module}, does not follow a Linear, as an activation must")
    if not linears:
        raise ValueError("the Sequential has no Linear module: there are no weights to take")
    names = [name or "linear" for name in activations]
    sizes = [linear.out_features for linear in linears]
    model = MLP(linears[0].in_features, sizes, names[:-1], names[-1], seed=0)
    for layer, linear in zip(model.layers, linears):
        biases = [0.0] * linear.out_features if linear.bias is None else linear.bias.tolist()
        for neuron, weights, bias in zip(layer.neurons, linear.weight.tolist(), biases):
            for parameter, number in zip((*neuron.w, neuron.b), (*weights, bias)):
                parameter.data = number
    return model


def _name_of_torch_activation(torch: Any, position: int, module: Any) -> str:
    for record in ACTIVATIONS.values():
        twin = _torch_activation(torch, record)
        settings = {*getattr(twin, "__constants__", ())} - {"inplace", "threshold"}
        same = type(module) is type(twin) and all(getattr(module, x) == getattr(twin, x) for x in settings)
        if same and getattr(module, "threshold", 20) >= 20:  # Softplus is within 2e-9 from 20 on
            return record.name
    known = ", ".join(str(_torch_activation(torch, record)) for record in ACTIVATIONS.values())
    raise ValueError(
        f"module {position}, {module}, has no counterpart in an MLP; there are Linear and {known}"
    )


def to_torch_optimizer(optimizer: Optimizer, network: Any) -> Any:
    """PyTorch's optimizer that goes on where ours stands: same rule, same settings, same state.

    - SGD is `torch.optim.SGD`.
    - Momentum is `torch.optim.SGD` with its momentum. PyTorch's velocity has the other sign and does not
      contain η: v = -η · buffer. So the two agree for as long as η stays as it is.
    - RMSProp is `torch.optim.RMSprop`: ε is outside of the root in both. (TensorFlow's is inside.)
    - Adam is `torch.optim.Adam`.

    Args:
        optimizer: of `micrograd_mlp.optim`, made for `model.parameters()`.
        network: what `to_torch(model)` gave, in a `DistributedDataParallel` or not, its weights being
            the model's still.

    Raises:
        ImportError: PyTorch is missing; the message names the extra.
        TypeError: PyTorch has no such rule.
        ValueError: the network's weights are not the optimizer's parameters; or a velocity can't be
            converted since η is 0.

    >>> model = MLP(2, [16, 1], seed=0)
    >>> network = to_torch(model)
    >>> type(to_torch_optimizer(Adam(model.parameters(), lr=0.01), network))
    <class 'torch.optim.adam.Adam'>
    """
    torch = require_package("torch", "torch")
    linears = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    weights = [p for linear in linears for p in (linear.weight, linear.bias)]
    tensors = _as_tensors(torch, [p.data for p in optimizer.params], linears)
    if tensors is None or not all(torch.equal(a, b.detach()) for a, b in zip(tensors, weights)):
        raise ValueError(
            "the network's weights are not the optimizer's parameters: give the optimizer of "
            "model.parameters() and what to_torch(model) returned, before either is trained on"
        )
    result, states = _same_rule(torch, optimizer, weights)
    if optimizer.t:
        for name, numbers in states.items():
            for weight, tensor in zip(weights, _as_tensors(torch, numbers, linears) or []):
                result.state[weight] |= {name: tensor}
        if not isinstance(optimizer, SGD | Momentum):
            for weight in weights:
                result.state[weight]["step"] = torch.tensor(float(optimizer.t))
    return result


def _same_rule(torch: Any, optimizer: Optimizer, weights: list[Any]) -> tuple[Any, dict[str, list[float]]]:
    """PyTorch's optimizer, and its state by PyTorch's names in our order of parameters."""
    optim, lr, state = torch.optim, optimizer.lr, optimizer.state
    # By exact class: a subclass may have a rule of its own.
    if type(optimizer) is SGD:
        return optim.SGD(weights, lr=lr), {}
    if type(optimizer) is Momentum:
        if lr == 0.0 and any(state["v"]):
            raise ValueError("PyTorch's momentum is -v/η, which does not exist for a learning rate of 0")
        buffer = [-v / lr if v else 0.0 for v in state["v"]]
        return optim.SGD(weights, lr=lr, momentum=optimizer.momentum), {"momentum_buffer": buffer}
    if type(optimizer) is RMSProp:
        result = optim.RMSprop(weights, lr=lr, alpha=optimizer.rho, eps=optimizer.eps)
        return result, {"square_avg": state["s"]}
    if type(optimizer) is Adam:
        result = optim.Adam(weights, lr=lr, betas=optimizer.betas, eps=optimizer.eps)
        return result, {"exp_avg": state["m"], "exp_avg_sq": state["v"]}
    raise TypeError(
        f"PyTorch has no rule that is known to be that of {type(optimizer).__name__}; "
        "there are SGD, Momentum, RMSProp and Adam"
    )


def _as_tensors(torch: Any, numbers: list[float], linears: list[Any]) -> list[Any] | None:
    """Numbers that go neuron by neuron, as W and b of each layer; None if they do not fit."""
    if len(numbers) != sum((linear.in_features + 1) * linear.out_features for linear in linears):
        return None
    flat = _tensor(torch, numbers)
    tensors: list[Any] = []
    for linear in linears:
        n_inputs, n_outputs = linear.in_features, linear.out_features
        layer, flat = flat.split([(n_inputs + 1) * n_outputs, len(flat) - (n_inputs + 1) * n_outputs])
        W, b = layer.reshape(n_outputs, n_inputs + 1).split([n_inputs, 1], dim=1)
        tensors += [W.contiguous(), b.flatten()]
    return tensors


def _tensor(torch: Any, numbers: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float64)
