"""`python -m tests.benchmarks`: choose the rows, run them single-threaded, print the table."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from tests.benchmarks import harness, training
from tests.benchmarks.rows import IRREGULAR, ROWS
from tests.benchmarks.tasks import TRAINING

# These are read when the libraries are loaded, so the benchmark starts itself again with them set.
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NPROC": "1",  # the size of XLA's thread pool
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Beside its peers.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names of rows; all if none is given")
    parser.add_argument("--list", action="store_true", help="show the rows' names")
    parser.add_argument("--quick", action="store_true", help="a few calls of everything: does it run?")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured")
    parser.add_argument("--cpu", action="store_true", help="CPU time, for a machine that others use too")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--dtype", choices=training.DTYPES, help="training rows in one precision alone")
    parser.add_argument(
        "--only",
        choices=[*training.PEERS, "casadi", "xad"],
        help="beside this peer alone: the training rows, or the irregular graphs",
    )
    arguments = parser.parse_args()

    if arguments.list:
        for name, entry in TRAINING.items():
            print(f"{name:16} {entry.task.summary()}")
        for name, (title, _) in ROWS.items():
            print(f"{name:16} {title}")
        return 0
    for name in arguments.rows:
        if name not in TRAINING and name not in ROWS:
            parser.error(f"there is no row {name!r}; there are {', '.join([*TRAINING, *ROWS])}")
    if any(os.environ.get(name) != value for name, value in SINGLE_THREADED.items()):
        command = [sys.executable, "-m", "tests.benchmarks", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | SINGLE_THREADED).returncode

    effort = harness.QUICK if arguments.quick else harness.FULL
    effort = replace(
        effort,
        rounds=arguments.rounds or effort.rounds,
        only=_part_of_name(arguments.only),
        clock=time.process_time if arguments.cpu else time.perf_counter,
    )
    harness.use_threads(1)
    missed: list[str] = []
    failed: list[str] = []
    names = arguments.rows or _rows_with(arguments.only)
    if trained := [name for name in names if name in TRAINING]:
        dtypes = [arguments.dtype] if arguments.dtype else training.DTYPES
        peers = [peer for peer in training.PEERS if arguments.only in (None, peer)]
        _training_table(trained, training.Columns(dtypes, peers), effort, arguments.markdown, missed, failed)
    others = [name for name in names if name in ROWS]
    _other_tables(others, effort, arguments.markdown, missed, failed)
    _print_machine(arguments.quick)
    print(f"\nNot reached: {'; '.join(missed) or 'nothing'}.")
    return int(bool(failed))


def _rows_with(peer: str | None) -> list[str]:
    """Those that are run if none is named."""
    if peer is None:
        return [*TRAINING, *ROWS]
    return list(TRAINING if peer in training.PEERS else IRREGULAR)


def _part_of_name(peer: str | None) -> str:
    """What the names of this peer's programs have in common."""
    return {None: "", "jit": "jax", "loop": "jax", "torch": "pytorch"}.get(peer, peer)


def _training_table(
    names: list[str],
    columns: training.Columns,
    effort: harness.Effort,
    markdown: bool,
    missed: list[str],
    failed: list[str],
) -> None:
    """Each line as soon as it was measured."""
    line = training.as_markdown if markdown else columns.aligned
    print(line(columns.head()), flush=True)
    if markdown:
        print(training.markdown_rule(columns.head()), flush=True)
    for name in names:
        try:
            cells = training.row(name, columns, effort)
        except Exception as error:  # the other rows are worth having all the same
            traceback.print_exc()
            failed.append(name)
            failure = f"FAILED: {error}"
            cells = [training.Cell(name, name), training.Cell(failure, failure, missed=True)]
        if any(cell.missed for cell in cells):
            missed.append(name)
        print(line(cells), flush=True)


def _other_tables(
    names: list[str], effort: harness.Effort, markdown: bool, missed: list[str], failed: list[str]
) -> None:
    results = []
    for name in names:
        title, measure = ROWS[name]
        harness.tell(f"{name} ...")
        try:
            lines = measure(effort)
        except (harness.NotRunError, ImportError) as why:
            lines = [harness.Line("micrograd_mlp", harness.not_run(why))]
        except Exception as error:  # the other rows are worth having all the same
            traceback.print_exc()
            failed.append(name)
            lines = [harness.Line("micrograd_mlp", f"FAILED: {error}", holds=False)]
        if any(line.holds is False for line in lines):
            missed.append(name)
        results.append((f"{title} [{name}]", lines))
    if results:
        harness.print_table(results, markdown)


def _print_machine(quick: bool) -> None:
    print(
        f"\nPython {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, one used unless said; float64 unless said; "
        f"matrix product {harness.peak_flops() / 1e9:.1f} Gflop/s, "
        f"{harness.peak_flops('float32') / 1e9:.1f} in float32."
    )
    versions = []
    for package in ("numpy", "llvmlite", "micrograd", "torch", "jax", "casadi", "xad", "scikit-learn"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"no {package}")
    print(", ".join(versions) + ".")
    if hasattr(os, "getloadavg"):
        print(f"Load average {os.getloadavg()[0]:.2f}; ± is half the distance between the quartiles.")
    if quick:
        print("--quick: these times mean little.")


if __name__ == "__main__":
    sys.exit(main())
