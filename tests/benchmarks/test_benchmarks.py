"""The benchmark's own rules: programs that disagree are never compared, and what can't run says why.

Nothing here depends on how long anything takes.
"""

import gc
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import first, harness, irregular, recipes, tasks, training
from tests.benchmarks.harness import Contender, DisagreementError, Running, Times, measure, race, ratio


@pytest.fixture(autouse=True)
def without_the_other_tests():
    """Before it measures, the harness searches for garbage: here only in what the test itself has made."""
    gc.freeze()
    yield
    gc.unfreeze()


def running(*gradient, loss=1.0):
    return Running(lambda: None, answer={"loss": np.array([loss]), "gradient": np.array(gradient)})


def test_programs_that_agree_get_a_median_and_a_ratio_to_the_first():
    ours, peer = race(
        [Contender("ours", lambda: running(1.0)), Contender("peer", lambda: running(1.0), 1e-9)],
        harness.QUICK,
    )
    assert ours.ratio == ""
    assert ours.holds is None
    assert "× ±" in peer.ratio
    assert peer.holds is True


def test_a_required_ratio_that_is_not_reached_says_no():
    _, peer = race(
        [Contender("ours", lambda: running(1.0)), Contender("peer", lambda: running(1.0), 1e9)], harness.QUICK
    )
    assert peer.holds is False


@pytest.mark.parametrize(
    "peer",
    [
        running(1.0, 2.0 + 1e-11),
        running(1.0, float("nan")),
        running(0.0, 0.0),
        running(1.0),
        running(1.0, 2.0, loss=1.1),
    ],
)
def test_programs_that_disagree_are_not_compared(peer):
    with pytest.raises(DisagreementError, match="peer"):
        race([Contender("ours", lambda: running(1.0, 2.0)), Contender("peer", lambda: peer)], harness.QUICK)


def test_gradients_that_are_all_zero_are_no_agreement():
    with pytest.raises(DisagreementError):
        race(
            [Contender("ours", lambda: running(0.0)), Contender("peer", lambda: running(0.0))], harness.QUICK
        )


def test_a_missing_package_leaves_a_line_that_says_so():
    def build():
        raise ImportError("No module named 'xad'")

    _, peer = race([Contender("ours", lambda: running(1.0)), Contender("XAD", build, 50)], harness.QUICK)
    assert peer.figure == "not run: No module named 'xad'"
    assert peer.holds is None


def run_benchmarks(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments], capture_output=True, text=True, timeout=900
    )


def test_the_command_prints_a_row_chosen_by_name_as_markdown():
    done = run_benchmarks("import", "--quick", "--markdown")
    assert done.returncode == 0, done.stderr
    header, _, first, *_ = done.stdout.splitlines()
    assert header == "| work | program | median | ratio to ours | required | holds | of peak |"
    assert first.startswith("| import [import] | import micrograd_mlp, over a bare start | ")


def test_an_unknown_row_is_an_error_that_lists_the_rows():
    done = run_benchmarks("moon")
    assert done.returncode == 2
    assert "there is no row 'moon'; there are dozen, one-example" in done.stderr


def test_the_command_prints_the_training_rows_beside_one_peer_in_one_precision():
    done = run_benchmarks("moons", "dozen", "--quick", "--only", "loop", "--dtype", "float64")
    assert done.returncode == 0, done.stderr
    header, moons, dozen, *_ = done.stdout.splitlines()
    assert header.split() == ["row", "float64", "of", "peak", "JAX,", "loop"]
    assert moons.split()[0] == "moons"
    assert dozen.split()[0] == "dozen"


def test_in_markdown_the_training_rows_have_no_spread_and_no_peak():
    columns = training.Columns(["float64"], ["loop"])
    times = Times({"ours": [1e-6], "loop": [2e-6]}, {"ours": 1.0}, {})
    cells = training.cells(times, columns.peers, {}, "float64")
    assert training.as_markdown(columns.head()) == "| a step of training | here, float64 | JAX, loop |"
    assert training.markdown_rule(columns.head()) == "| --- | --- | --- |"
    assert training.as_markdown(cells) == "| 1.00 µs | 2× |"


def test_the_median_of_ratios_is_that_of_pairs_not_of_medians():
    ours = [1.0, 2.0, 4.0]  # the machine was slower in the second round, and slower still in the third
    theirs = [3.0, 6.0, 12.0]
    assert ratio(theirs, ours) == (3.0, 0.0)


def test_a_peer_that_is_faster_than_promised_is_marked():
    times = Times({"ours": [1.0, 1.0], "loop": [0.95, 0.95]}, {"ours": 0.0}, {})
    assert training.cells(times, ["loop"], {"loop": 1.0}, "float64")[-1] == ("0.95× ±0% !", "0.95×", True)
    assert training.cells(times, ["loop"], {"loop": 0.9}, "float32")[-1] == ("0.95× ±0%", "0.95×", False)


def test_a_precision_that_is_not_there_leaves_the_peers_times():
    times = Times({"loop": [2e-6]}, {}, {"ours": "not run: not there"})
    assert [cell.text for cell in training.cells(times, ["loop"], {"loop": 1.0}, "float32")] == [
        "not there",
        "",
        "2.00 µs",
    ]


TINY = [
    tasks.moons(),
    tasks.classes(3, 4, 3, batch=5, optimizer="Momentum", alpha=1e-2),
    tasks.regression(3, 4, 2, batch=5, optimizer="RMSProp", lr=1e-3),
    tasks.autoencoder(4, 3, 4, batch=5, optimizer="Adam", lr=1e-3),
]


@pytest.fixture
def float64_in_jax():
    """As the command sets it for a whole process."""
    jax = pytest.importorskip("jax", reason='needs pip install "micrograd_mlp[jax]"')
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("float64_in_jax")
@pytest.mark.parametrize(
    "task", [*TINY, replace(TINY[1], dtype="float32")], ids=lambda task: f"{task.summary()}, {task.dtype}"
)
def test_every_loss_and_optimizer_is_the_same_in_all_packages(task):
    """`measure` refuses programs that disagree."""
    contenders = training.contenders(task, steps=5, peers=list(training.PEERS))
    times = measure(contenders, harness.QUICK)
    assert times.seconds.keys() | times.absent.keys() == {"ours", "torch", "jit", "loop"}


@pytest.mark.parametrize(
    "draw", [recipes.layered, recipes.chains, recipes.partial, recipes.mixed], ids=lambda draw: draw.__name__
)
def test_every_package_follows_a_recipe_to_the_same_gradient(draw):
    lines = irregular.irregular(draw(n_operations=300, n_inputs=30), harness.QUICK)
    assert len(lines) == 6


def test_no_link_of_a_chain_has_the_kind_of_its_neighbour():
    drawn = recipes.chains(n_operations=400, n_inputs=10, n_chains=4)
    kinds = [operation.kind for operation in drawn.operations]
    ends = {end - 10 for end in drawn.outputs}
    assert len(kinds) == 400
    assert all(kind != after for k, (kind, after) in enumerate(itertools.pairwise(kinds)) if k not in ends)
    links = [operation.operands[0] for operation in drawn.operations]
    assert links == [n + 9 if n % 100 else n // 100 for n in range(400)]


def test_outputs_of_partial_softmaxes_are_unused():
    drawn = recipes.partial(n_operations=300, n_inputs=30)
    softmaxes = [operation for operation in drawn.operations if operation.kind == "softmax"]
    assert len(softmaxes) > 20
    assert all(1 <= len(one.used) <= 2 < len(one.operands) for one in softmaxes)


def test_the_mixed_recipe_has_every_kind():
    assert {operation.kind for operation in recipes.mixed(2_000).operations} == set(recipes.OURS)


def test_the_first_results_are_the_same_in_all_packages():
    pytest.importorskip("llvmlite", reason='needs pip install "micrograd_mlp[compile]"')
    torch = pytest.importorskip("torch", reason='needs pip install "micrograd_mlp[torch]"')
    assert first.valley_ours() == pytest.approx(first.valley_torch(), rel=1e-12)
    torch.manual_seed(0)
    assert first.moons_torch() > 0.0
    assert first.moons_ours() > 0.0


def test_a_new_installation_has_byte_code_and_no_machine_code(tmp_path):
    environment = first.new_installation(tmp_path)
    asked = "import micrograd_mlp as m; print(m.__file__, m.__cached__)"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    file, cached = done.stdout.split()
    assert file.startswith(str(tmp_path))
    assert Path(cached).exists()
    assert not list(tmp_path.rglob("*.nbi"))
