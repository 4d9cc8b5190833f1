"""The pytest plugin, run by pytest's own pytester: the fixture, the line in the summary, the strict run."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

MODULE = "micrograd_mlp.checks.pytest_plugin"
INSTALLED = any(point.value == MODULE for point in importlib.metadata.entry_points(group="pytest11"))

PASSING = """
    def test_square(gradcheck):
        gradcheck(lambda x, y: x * x * y, [3.0, 2.0])
"""
WRONG = """
    import numpy as np

    def test_loss(gradcheck):
        W2 = np.arange(6.0).reshape(3, 2) + 1.0

        def gradient(W2, b2):
            g = 2.0 * W2
            g[2, 1] = 7.0
            return g, 1.0

        gradcheck(lambda W2, b2: float((W2**2).sum()) + b2, [W2, 0.5], gradient)
"""
KINK = """
    def test_kink(gradcheck):
        gradcheck(lambda z: z.relu(), [0.0])
"""


@pytest.fixture
def run(pytester):
    def run(source, *options):
        pytester.makepyfile(source)
        loaded = [] if INSTALLED else ["-p", MODULE]
        return pytester.runpytest_inprocess(*loaded, "-p", "no:cacheprovider", *options)

    return run


def test_the_fixture_passes_and_the_summary_counts(run):
    result = run(PASSING)
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines([r"2 derivatives checked(, worst error \d+ ulp in test_square)?$"])


def test_the_worst_test_is_named_with_its_error(run):
    more = """
    def test_exp(gradcheck):
        gradcheck(lambda x: (x * x * x).exp().sin(), [0.9])
    """
    result = run(PASSING + more)
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r"3 derivatives checked, worst error \d+ ulp in test_(exp|square)$"])


def test_checks_without_the_fixture_count_too(run):
    result = run("""
        from micrograd_mlp import gradcheck

        def test_it():
            gradcheck(lambda x: x * x, [3.0])
    """)
    result.stdout.fnmatch_lines(["1 derivative checked*"])


def test_a_failure_names_the_parameter_and_shows_the_failing_part_of_the_table(run):
    result = run(WRONG)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"E +micrograd_mlp\S*GradCheckError: 1 of 7 derivatives did not pass:"])
    result.stdout.re_match_lines([r"E +W2\[2,1\] +7 +12 .* wrong"])
    result.stdout.no_fnmatch_line("*W2?0,0?*")
    result.stdout.re_match_lines([r">\s+gradcheck\(lambda W2, b2"])
    result.stdout.no_fnmatch_line("*raise GradCheckError*")


def test_nothing_is_printed_where_nothing_was_checked(run):
    result = run("def test_nothing():\n    pass\n")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*derivatives checked*")


def test_strict_lets_no_kink_pass(run):
    run(KINK).assert_outcomes(passed=1)
    result = run(KINK, "--gradcheck-strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*at a kink, slopes 0 and 1*"])
    run(KINK).assert_outcomes(passed=1)  # it ends with the run


def test_strict_is_a_setting_too(run, pytester):
    pytester.makeini("[pytest]\ngradcheck_strict = true\n")
    run(KINK).assert_outcomes(failed=1)


def test_strict_checks_every_derivative_on_its_own(run):
    source = """
        def test_many(gradcheck):
            report = gradcheck(lambda *x: sum(v * v for v in x), [0.1 * k for k in range(120)])
            assert len(report.rows) == {}
    """
    run(source.format(120), "--gradcheck-strict").assert_outcomes(passed=1)
    run(source.format(2)).assert_outcomes(passed=1)


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="needs pytest-xdist")
def test_workers_of_xdist_are_added_up(run):
    result = run(PASSING + PASSING.replace("square", "other"), "-n2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["4 derivatives checked*"])


def test_pytest_finds_it_and_it_imports_no_numpy():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["entry-points"]["pytest11"] == {"micrograd_mlp": MODULE}
    program = f"import sys, {MODULE}; sys.exit(bool({{'numpy', 'torch', 'jax'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
