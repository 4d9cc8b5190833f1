"""`python -m tests.benchmarks`: choose the rows, run them single-threaded, print the table."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import traceback

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
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()

    from tests.benchmarks import harness
    from tests.benchmarks.rows import ROWS

    if arguments.list:
        for name, (title, _) in ROWS.items():
            print(f"{name:14} {title}")
        return 0
    for name in arguments.rows:
        if name not in ROWS:
            parser.error(f"there is no row {name!r}; there are {', '.join(ROWS)}")
    if any(os.environ.get(name) != value for name, value in SINGLE_THREADED.items()):
        command = [sys.executable, "-m", "tests.benchmarks", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | SINGLE_THREADED).returncode

    effort = harness.QUICK if arguments.quick else harness.FULL
    harness.use_threads(1)
    results, failed = [], False
    for name in arguments.rows or ROWS:
        title, measure = ROWS[name]
        harness.tell(f"{name} ...")
        try:
            lines = measure(effort)
        except (harness.NotRunError, ImportError) as why:
            lines = [harness.Line("micrograd_mlp", harness.not_run(why))]
        except Exception as error:  # the other rows are worth having all the same
            traceback.print_exc()
            failed = True
            lines = [harness.Line("micrograd_mlp", f"FAILED: {error}", holds=False)]
        results.append((f"{title} [{name}]", lines))
    harness.print_table(results, arguments.markdown)
    _print_machine(harness, arguments.quick)
    missed = [title for title, lines in results if any(line.holds is False for line in lines)]
    print(f"\nNot reached: {'; '.join(missed) or 'nothing'}.")
    return int(failed)


def _print_machine(harness, quick: bool) -> None:
    from importlib.metadata import PackageNotFoundError, version

    print(
        f"\nPython {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, one used unless said; float64 everywhere; "
        f"matrix product {harness.peak_flops() / 1e9:.1f} Gflop/s."
    )
    versions = []
    for package in ("numpy", "numba", "micrograd", "torch", "jax", "casadi", "xad", "scikit-learn"):
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
