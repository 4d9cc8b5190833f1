"""Which nodes are one neuron: never those of two examples, of two networks, or of none."""

import pytest

from micrograd_mlp import MLP, Constant, Layer, Neuron, Parameter, Value, draw, maximum, total
from micrograd_mlp.nn.losses import l2, mean, squared_error
from micrograd_mlp.render.neurons import find_layers
from micrograd_mlp.render.scene import Scene


def layers_of(output):
    return find_layers(output.topological_order())


def summary(output):
    """(example, layer, indices of its neurons) for every layer."""
    return [(layer.example, layer.number, list(layer.neurons)) for layer in layers_of(output)]


def labels(nodes):
    return sorted(node.label or (node.op.name if node.op else str(node.data)) for node in nodes)


def test_a_neuron_is_its_parameters_its_z_its_a_and_what_lies_between():
    [layer, _] = layers_of(MLP(2, [2, 1], activation="tanh", seed=0)([1.0, 2.0]))
    neuron = layer.neurons[2]
    assert (neuron.layer, neuron.index, neuron.z.label, neuron.a.label) == (1, 2, "z1[2]", "a1[2]")
    assert labels(neuron.nodes) == ["W1[2,1]", "W1[2,2]", "a1[2]", "b1[2]", "dot", "z1[2]"]
    assert labels(neuron.parameters) == ["W1[2,1]", "W1[2,2]", "b1[2]"]
    assert labels(neuron.inputs) == ["x[1]", "x[2]"]


def test_a_linear_neuron_ends_in_its_z_and_linear_layers_are_told_apart():
    output = MLP(1, [2, 2, 1], activation="linear", seed=0)([1.0])
    assert summary(output) == [(1, 1, [1, 2]), (1, 2, [1, 2]), (1, 3, [1])]
    assert all(n.a is n.z for layer in layers_of(output) for n in layer.neurons.values())


def test_an_activation_of_several_operations_belongs_to_the_neuron_with_its_constants():
    output = MLP(1, [1], output_activation=lambda z: maximum(z, 0.2 * z), seed=0)([1.0])
    [layer] = layers_of(output)
    assert labels(layer.neurons[1].nodes) == ["0.2", "W1[1,1]", "a1[1]", "b1[1]", "dot", "mul", "z1[1]"]


def test_the_loss_and_features_computed_before_the_network_belong_to_no_neuron():
    x = Value(2.0)
    loss = squared_error(MLP(2, [1], seed=0)([x, x * x]), 1.0)
    [layer] = layers_of(loss)
    assert labels(layer.neurons[1].nodes) == ["W1[1,1]", "W1[1,2]", "b1[1]", "dot", "z1[1]"]
    assert labels(layer.neurons[1].inputs) == ["2.0", "mul"]


def test_examples_of_a_batch_are_numbered_as_they_stand_in_the_loss():
    model = MLP(2, [3, 2], activation="tanh", seed=0)
    examples = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    loss = mean([squared_error(model(x), [0.0, 1.0]) for x in examples])
    assert summary(loss) == [(e, layer, j) for e in (1, 2, 3) for layer, j in ((1, [1, 2, 3]), (2, [1, 2]))]
    for layer in layers_of(loss):
        if layer.number == 1:
            assert [x.data for x in layer.neurons[1].inputs] == examples[layer.example - 1]


def test_parameters_that_examples_share_belong_to_none_of_them():
    model = MLP(1, [1], seed=0)
    first, second = layers_of(model([1.0]) + model([2.0]))
    for layer in (first, second):
        assert labels(layer.neurons[1].nodes) == ["dot", "z1[1]"]
        assert labels(layer.neurons[1].parameters) == ["W1[1,1]", "b1[1]"]


def test_a_penalty_on_the_weights_takes_none_of_them_away():
    model = MLP(1, [1], seed=0)
    [layer] = layers_of(model([1.0]) + l2(model.parameters()))
    assert labels(layer.neurons[1].nodes) == ["W1[1,1]", "b1[1]", "dot", "z1[1]"]


def test_calling_a_network_twice_on_the_same_inputs_gives_two_of_each():
    model, x = MLP(2, [2, 1], seed=0), [Value(1.0), Value(2.0)]
    assert summary(model(x) * model(x)) == [(1, 1, [1, 2]), (1, 2, [1]), (2, 1, [1, 2]), (2, 2, [1])]


def test_two_networks_with_the_same_labels_are_two():
    x = [Value(1.0), Value(2.0)]
    student, teacher = MLP(2, [2, 1], seed=0), MLP(2, [2, 1], seed=1)
    found = layers_of(student(x) - teacher(x))
    assert len(found) == 4
    for layer in found:
        owners = {
            name
            for name, model in (("student", student), ("teacher", teacher))
            for neuron in layer.neurons.values()
            for p in neuron.parameters
            if any(p is q for q in model.parameters())
        }
        assert len(owners) == 1


def test_no_node_belongs_to_two_neurons():
    model = MLP(2, [4, 3, 2], activation="tanh", seed=0)
    loss = total(y for x in ([1.0, 2.0], [3.0, 4.0]) for y in model(x))
    nodes = [node for layer in layers_of(loss) for n in layer.neurons.values() for node in n.nodes]
    assert len(nodes) == len(set(nodes)) == 2 * (4 + 3) * 3 + 2 * 2 * 2  # dot, z, a; the last layer has no a


def test_single_neurons_and_layers_are_found_too():
    assert summary(Neuron(2, activation="tanh", seed=0)([1.0, 2.0])) == [(1, 1, [1])]
    layer = Layer(2, 3, activation="tanh", seed=0)
    assert summary(total(layer([Value(1.0), Value(2.0)]))) == [(1, 1, [1, 2, 3])]
    assert summary(total(layer([1.0, 2.0]))) == [(1, 1, [1, 2, 3])]
    two_examples = [*layer([1.0, 2.0]), *layer([3.0, 4.0])]
    assert summary(total(two_examples)) == [(1, 1, [1, 2, 3]), (2, 1, [1, 2, 3])]


@pytest.mark.parametrize("label", ["z1[2]", "z1", "z[1]", "zz1[1]", "z1[1]x", "z٣[1]", "a1[1]", "W1[1,1]"])
def test_other_labels_make_no_neuron(label):
    z = Parameter(1.0, "W1[1,1]") * Value(2.0) + Parameter(0.0, "b1[1]")
    z.label = label
    assert layers_of(z.tanh()) == []


def test_the_name_alone_makes_no_neuron():
    z = Constant(1.0, "W1[1,1]") * Value(2.0)
    z.label = "z1[1]"
    assert layers_of(z) == []


def test_a_neuron_that_a_node_of_the_user_s_leaves_and_enters_again_is_no_box():
    """Folded into one box it would be computed from itself."""
    w, b, x = Parameter(0.5, "W1[1,1]"), Parameter(0.1, "b1[1]"), Value(2.0, "x")
    product = w * x
    twice = product * 2.0
    twice.label = "twice"
    z = product + twice + b
    z.label = "z1[1]"
    assert Scene(z).groups("neuron") == Scene(z).groups("layer") == []
    assert draw(z, collapse="neuron").source == draw(z).source
