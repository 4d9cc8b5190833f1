"""A Neuron, a Layer and an MLP are the paper's scalar equations (§2, §3), and a safe home for weights."""

import copy
import json
import math
import pickle
import random
import re
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_mlp import MLP, Constant, Layer, Neuron, Parameter, Value, dot, maximum, no_grad, relu
from micrograd_mlp.files import checksum
from micrograd_mlp.nn import ACTIVATIONS
from micrograd_mlp.nn.modules import Module
from tests.optional import np

numbers = st.floats(-3, 3)


class TestNeuron:
    def test_takes_any_function_of_a_value_as_activation(self):
        neuron = Neuron(1, activation=lambda z: maximum(z, 0.2 * z))
        neuron.w[0].data = -1.0
        assert neuron([5.0]).data == -1.0

    def test_has_micrograds_attributes(self):
        neuron = Neuron(2)
        assert [type(p) for p in (*neuron.w, neuron.b)] == [Parameter] * 3
        assert neuron.parameters() == [*neuron.w, neuron.b]
        assert neuron.b.data == 0.0

    def test_alone_counts_as_one_output_of_layer_one(self):
        seen = []
        neuron = Neuron(2, init=lambda n_inputs, n_outputs, rng: seen.append((n_inputs, n_outputs)) or 0.5)
        assert seen == [(2, 1), (2, 1)]
        assert [p.label for p in neuron.parameters()] == ["W1[1,1]", "W1[1,2]", "b1[1]"]

    def test_names_a_wrong_number_of_inputs(self):
        with pytest.raises(ValueError, match=r"got 2 and 3"):
            Neuron(2)([1.0, 2.0, 3.0])


class TestLabels:
    def test_are_the_papers(self):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        loss = model([1.0, 2.0])
        labels = {node.label for node in loss.topological_order()}
        assert {"x[1]", "x[2]", "W1[3,2]", "b1[3]", "z1[3]", "a1[3]", "W2[1,3]", "b2[1]", "z2[1]"} <= labels

    def test_of_parameters_are_row_then_column(self):
        names = [name for name, _ in MLP(2, [2, 1]).named_parameters()]
        assert names == [
            "W1[1,1]", "W1[1,2]", "b1[1]", "W1[2,1]", "W1[2,2]", "b1[2]", "W2[1,1]", "W2[1,2]", "b2[1]",
        ]  # fmt: skip

    def test_of_a_layer_alone_are_those_of_layer_one(self):
        assert [name for name, _ in Layer(1, 2).named_parameters()] == [
            "W1[1,1]",
            "b1[1]",
            "W1[2,1]",
            "b1[2]",
        ]

    def test_of_inputs_are_left_alone_when_they_are_values(self):
        x = [Value(1.0, "height"), Value(2.0)]
        order = MLP(2, [1], seed=0)(x).topological_order()
        assert any(node is x[0] for node in order)
        assert [v.label for v in x] == ["height", None]


class TestMLP:
    def test_hides_relu_and_ends_linear_as_micrograds_does(self):
        model = MLP(2, [16, 16, 1])
        assert model.activations == ["relu", "relu", "linear"]
        assert len(model.parameters()) == 337
        assert [len(layer.neurons) for layer in model.layers] == [16, 16, 1]

    def test_returns_a_value_for_one_output_and_a_list_otherwise(self):
        assert isinstance(MLP(2, [3, 1])([1.0, 2.0]), Value)
        assert [type(y) for y in MLP(2, [3, 2])([1.0, 2.0])] == [Value, Value]

    def test_passes_gradients_to_its_inputs(self):
        x = [Value(0.5), Value(-0.5)]
        model = MLP(2, [1], seed=1)
        model(x).backward()
        assert [v.grad for v in x] == [w.data for w in model.layers[0].neurons[0].w]

    def test_zero_grad_clears_what_backward_accumulated(self):
        model = MLP(2, [2, 1], activation="tanh", seed=0)
        model([1.0, 2.0]).backward()
        assert any(p.grad for p in model.parameters())
        model.zero_grad()
        assert not any(p.grad for p in model.parameters())

    def test_predicts_without_a_graph_under_no_grad(self):
        model = MLP(2, [3, 1], seed=0)
        with no_grad():
            y = model([1.0, 2.0])
        assert isinstance(y, Constant)
        assert y.data == model([1.0, 2.0]).data

    def test_is_the_same_bit_for_bit_with_the_same_seed(self):
        first, again, other = (MLP(3, [4, 2], seed=s).state_dict() for s in (7, 7, 8))
        assert first == again
        assert first != other

    def test_draws_from_an_injected_generator(self):
        rng = random.Random(7)
        assert MLP(3, [4, 2], seed=rng).state_dict() == MLP(3, [4, 2], seed=7).state_dict()
        assert MLP(3, [4, 2], seed=rng).state_dict() != MLP(3, [4, 2], seed=7).state_dict()

    def test_takes_hundreds_of_inputs_and_of_layers(self, tmp_path):
        wide, deep = MLP(300, [1], seed=0), MLP(1, [1] * 300, activation=["tanh"] * 299, seed=0)
        weights = [w.data for w in wide.layers[0].neurons[0].w]
        assert wide([1.0] * 300).data == dot(weights, [1.0] * 300)
        assert len(deep.parameters()) == 600
        wide.save(tmp_path / "wide.json")
        assert MLP.load(tmp_path / "wide.json").state_dict() == wide.state_dict()

    def test_shows_its_architecture(self):
        assert repr(MLP(2, [3, 1])) == "MLP(2, [3, 1], activations=['relu', 'linear'])"
        assert repr(MLP(2, [3]).layers[0]) == "Layer(2, 3, activation='linear')"
        assert repr(Layer(2, 1, activation="tanh")) == "Layer(2, 1, activation='tanh')"
        assert repr(Neuron(2, activation=maximum)) == "Neuron(2, activation=maximum)"


class TestBadInput:
    @pytest.mark.parametrize("x", [[1.0], [1.0, 2.0, 3.0], []])
    def test_a_wrong_number_of_inputs_names_both_numbers(self, x):
        with pytest.raises(ValueError, match=rf"takes 2 inputs for an example, got {len(x)}"):
            MLP(2, [3, 1])(x)

    def test_a_bare_number_is_no_example(self):
        with pytest.raises(ValueError, match=r"takes 1 inputs for an example, got 0\.5"):
            MLP(1, [1])(0.5)

    @pytest.mark.parametrize("bad", ["text", None, 1j])
    def test_inputs_that_are_no_numbers_are_refused(self, bad):
        with pytest.raises(TypeError, match="expected a real number"):
            MLP(2, [1])([1.0, bad])

    @pytest.mark.parametrize("sizes", [[], (), None, 3])
    def test_no_layers(self, sizes):
        with pytest.raises(ValueError, match="at least one layer"):
            MLP(2, sizes)

    @pytest.mark.parametrize("sizes", [[0], [3, 0], [-1, 1]])
    def test_sizes_below_one(self, sizes):
        with pytest.raises(ValueError, match=f"must be 1 or more, got {min(sizes)}"):
            MLP(2, sizes)
        with pytest.raises(ValueError, match="must be 1 or more, got 0"):
            MLP(0, [1])

    @pytest.mark.parametrize("size", [2.0, "2", True])
    def test_sizes_that_are_no_ints(self, size):
        with pytest.raises(TypeError, match="must be an int"):
            MLP(size, [1])
        with pytest.raises(TypeError, match="must be an int"):
            Layer(2, size)

    def test_unknown_names_say_which_exist(self):
        with pytest.raises(
            ValueError, match=r"'linear', 'sigmoid', .* or a function of your own, got 'swish'"
        ):
            MLP(2, [2, 1], activation="swish")
        with pytest.raises(ValueError, match=r"'linear', 'sigmoid', .* got 'swish'"):
            MLP(2, [1], output_activation="swish")
        with pytest.raises(ValueError, match=r"init must be 'auto', 'xavier_uniform', .* got 'glorot'"):
            MLP(2, [2, 1], init="glorot")

    def test_an_activation_that_is_neither_a_name_nor_a_function(self):
        for activation in (None, 3, {"tanh"}):
            with pytest.raises(
                ValueError, match=r"activation must be 'linear', .* or a function of your own, got"
            ):
                MLP(2, [2, 1], activation=activation)

    def test_one_activation_for_each_hidden_layer(self):
        with pytest.raises(ValueError, match="1 activations for 2 hidden layers"):
            MLP(2, [2, 2, 1], activation=["tanh"])
        with pytest.raises(ValueError, match="3 activations for 2 hidden layers"):
            MLP(2, [2, 2, 1], activation=["tanh"] * 3)


class TestStateDict:
    def test_round_trips(self):
        model, other = MLP(2, [3, 1], seed=0), MLP(2, [3, 1], seed=1)
        other.load_state_dict(model.state_dict())
        assert other.state_dict() == model.state_dict()

    @pytest.mark.parametrize("sizes", [[2, 1], [4, 1], [3, 3, 1]])
    def test_of_another_model_is_refused_and_changes_nothing(self, sizes):
        model = MLP(2, [3, 1], seed=0)
        before = model.state_dict()
        with pytest.raises(ValueError, match="of another model"):
            model.load_state_dict(MLP(2, sizes, seed=1).state_dict())
        assert model.state_dict() == before

    def test_of_another_model_names_what_is_missing_and_what_is_unknown(self):
        small, large = MLP(1, [1]), MLP(2, [1])
        with pytest.raises(ValueError, match=r"none missing, 1 \(W1\[1,2\]\) unknown"):
            small.load_state_dict(large.state_dict())
        with pytest.raises(ValueError, match=r"1 \(W1\[1,2\]\) missing, none unknown"):
            large.load_state_dict(small.state_dict())
        with pytest.raises(ValueError, match=r"3 \(W1\[1,2\], W1\[1,3\], W1\[1,4\]\) unknown"):
            small.load_state_dict(MLP(4, [1]).state_dict())
        with pytest.raises(ValueError, match=r"4 \(W1\[1,2\], W1\[1,3\], W1\[1,4\], …\) unknown"):
            small.load_state_dict(MLP(5, [1]).state_dict())

    def test_with_something_that_is_no_number_changes_nothing(self):
        model = MLP(2, [1], seed=0)
        before = model.state_dict()
        with pytest.raises(ValueError, match="not a number"):
            model.load_state_dict({**dict.fromkeys(before, 9.0), "b1[1]": "0.5"})
        assert model.state_dict() == before


class TestWordsForBeginners:
    def test_a_table_is_not_one_example(self):
        model = MLP(2, [3, 1], seed=0)
        table = r"this is a table of examples, so write \[model\(x\) for x in X\]"
        for X in ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]] * 5, np.ones((2, 2)), np.ones((5, 2))):
            with pytest.raises(ValueError, match=table):
                model(X)

    def test_a_data_frame_is_not_one_example(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame([[1.0, 2.0]], columns=["a", "b"])
        model = MLP(2, [1], seed=0)
        with pytest.raises(ValueError, match=r"write \[model\(x\) for x in table.to_numpy\(\)\]"):
            model(frame)
        assert model(frame.loc[0]).data == model([1.0, 2.0]).data, "one line of it is one example"

    @pytest.mark.parametrize("use", [lambda y: y.backward(), lambda y: y.data, lambda y: y.grad])
    def test_a_list_of_outputs_is_not_one_value(self, use):
        outputs = MLP(2, [3], seed=0)([1.0, 2.0])
        with pytest.raises(
            AttributeError, match=r"a list of 3 outputs.* compute a loss of all of them first"
        ):
            use(outputs)
        with pytest.raises(AttributeError, match="a list of outputs has no attribute 'nonsense'"):
            _ = outputs.nonsense
        assert outputs == list(outputs)

    def test_layers_give_such_lists_too(self):
        with pytest.raises(AttributeError, match="a list of 2 outputs"):
            Layer(2, 2, seed=0)([1.0, 2.0]).backward()


class TestCopies:
    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_a_copy_computes_the_same_and_shares_nothing(self, copied, name):
        model = MLP(2, [3, 2], activation=name, output_activation="sigmoid", seed=0)
        other = copied(model)
        assert other.state_dict() == model.state_dict()
        assert [y.data for y in other([0.5, -1.0])] == [y.data for y in model([0.5, -1.0])]
        other.layers[0].neurons[0].w[0].data += 1.0
        assert other.state_dict() != model.state_dict()


def test_another_activation_of_a_neuron_is_what_it_computes_with():
    neuron = Neuron(1, activation="tanh", seed=0)
    neuron.w[0].data = 2.0
    neuron.activation = "relu"
    assert (neuron([3.0]).data, repr(neuron)) == (6.0, "Neuron(1, activation='relu')")
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        neuron.activation = "rleu"
    assert neuron.activation == "relu"


class TestSaveAndLoad:
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=9, max_size=9))
    def test_floats_round_trip_bit_for_bit(self, tmp_path_factory, floats):
        path = tmp_path_factory.mktemp("model") / "model.json"
        model = MLP(2, [2, 1], activation="tanh", output_activation="sigmoid")
        for parameter, number in zip(model.parameters(), floats, strict=True):
            parameter.data = number
        model.save(path)
        loaded = MLP.load(path)
        assert [p.data.hex() for p in loaded.parameters()] == [number.hex() for number in floats]
        assert loaded.activations == model.activations

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_a_weight_that_is_not_finite_is_not_saved(self, tmp_path, number):
        model = MLP(2, [1])
        model.layers[0].neurons[0].b.data = number
        with pytest.raises(ValueError, match=rf"b1\[1\] is {number}: a file holds finite parameters only"):
            model.save(tmp_path / "model.json")
        assert list(tmp_path.iterdir()) == []

    def test_replaces_a_file_whole_and_leaves_nothing_else(self, tmp_path):
        path = tmp_path / "model.json"
        path.write_text("old")
        path.chmod(0o640)
        MLP(2, [1]).save(path)
        assert MLP.load(path).n_inputs == 2
        assert [p.name for p in tmp_path.iterdir()] == ["model.json"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_a_function_as_activation_cannot_be_saved_and_keeps_the_old_file(self, tmp_path):
        path = tmp_path / "model.json"
        MLP(2, [1], seed=3).save(path)
        with pytest.raises(ValueError, match="is a function, which a file can't hold"):
            MLP(2, [2, 1], activation=lambda z: z).save(path)
        assert MLP.load(path).state_dict() == MLP(2, [1], seed=3).state_dict()

    def test_a_file_cut_short_anywhere_is_refused(self, tmp_path):
        path = tmp_path / "model.json"
        MLP(1, [1], seed=0).save(path)
        whole = path.read_bytes().rstrip()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="is not a micrograd_mlp model"):
                MLP.load(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: c.update(extra=1), r"none missing, 1 \(extra\) unknown"),
            (lambda c: c.pop("version"), "its version is None"),
            (lambda c: c.update(version=3), "its version is 3; this package reads versions 1 to 2"),
            (lambda c: c.update(version=True), "its version is True"),
            (lambda c: c.update(format="pickle"), "its format is 'pickle', not 'micrograd_mlp model'"),
            (lambda c: c.update(format="csv"), "its format is 'csv'"),
            (lambda c: c["model"].update(dropout=0.5), r"1 \(dropout\) unknown"),
            (lambda c: c["model"].update(n_inputs=3), "have 16 parameters, the file has 13"),
            (lambda c: c["model"].update(layer_sizes=[10**9, 1]), "parameters, the file has 13"),
            (
                lambda c: c["model"].update(layer_sizes=[1000, -2, -15], n_inputs=1),
                "a size must be 1 or more, got -2",
            ),
            (lambda c: c["model"].update(layer_sizes="31"), "must be a list of int"),
            (lambda c: c["model"].update(layer_sizes=[3, "1"]), "must be a list of int"),
            (lambda c: c["model"].update(activation="relu"), "must be a list of str"),
            (lambda c: c["model"].update(layer_sizes=[]), "parameters"),
            (lambda c: c["model"].update(activation=["swish"]), "got 'swish'"),
            (lambda c: c["model"].update(output_activation=None), "got 'None'"),
            (lambda c: c["model"].update(activation=[]), "activations for"),
            (lambda c: c["parameters"].update({"b1[1]": "1.0"}), "not a number"),
            (lambda c: c["parameters"].update({"b1[1]": True}), "not a number"),
            (lambda c: c["parameters"].update({"b1[1]": math.nan}), r"b1\[1\] must be finite, got nan"),
            (lambda c: c["parameters"].update({"b1[1]": -math.inf}), r"b1\[1\] must be finite, got -inf"),
            (lambda c: c["model"].update(n_inputs=True), "a size must be an int, got True"),
            (lambda c: c["parameters"].update({"b9[1]": c["parameters"].pop("b1[1]")}), "of another model"),
            (lambda c: c.update(parameters=[1.0]), "must be an object"),
        ],
    )
    def test_a_file_that_does_not_fit_is_refused(self, tmp_path, change, message):
        path = tmp_path / "model.json"
        MLP(2, [3, 1], seed=0).save(path)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content | {"checksum": checksum(content)}))
        with pytest.raises(ValueError, match=message):
            MLP.load(path)

    @pytest.mark.parametrize(
        ("edit", "seen"),
        [
            (lambda m: setattr(m.layers[0].neurons[1], "activation", "relu"), "a1[2] is computed by relu"),
            (lambda m: setattr(m.layers[1].neurons[0], "sigma", relu), "a2[1] is computed by relu"),
            (
                lambda m: m.activations.__setitem__(0, "relu"),
                "a1[1] is computed by tanh, and its layer by relu",
            ),
            (lambda m: m.layers[0].neurons.reverse(), "a1[3] is neuron 1 of layer 1"),
            (lambda m: m.layers.insert(1, Layer(3, 3)), "there are 3 layers and 2 activations"),
            (lambda m: m.layers[0].neurons[0].w.pop(), "a1[1] has 1 weights for 2 inputs"),
        ],
    )
    def test_a_network_that_computes_something_else_is_not_saved(self, tmp_path, edit, seen):
        model = MLP(2, [3, 1], activation="tanh", seed=0)
        edit(model)
        for write in (model.to_dict, model.config, lambda: model.save(tmp_path / "model.json")):
            with pytest.raises(ValueError, match=re.escape(seen)):
                write()
        assert list(tmp_path.iterdir()) == []

    def test_two_parameters_of_one_name_have_no_state(self):
        class Pair(Module):
            first, second = Neuron(1, seed=0), Neuron(1, seed=1)

            def named_parameters(self):
                yield from self.first.named_parameters()
                yield from self.second.named_parameters()

        state = Neuron(1).state_dict()
        for use in (Pair().state_dict, lambda: Pair().load_state_dict(state)):
            with pytest.raises(ValueError, match=r"two parameters are called W1\[1,1\]: .*index=2"):
                use()
        Pair.second = Pair.first
        assert Pair().state_dict() == Pair.first.state_dict(), "one parameter that is used twice is one"

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            MLP.load(tmp_path / "none.json")
