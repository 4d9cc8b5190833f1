"""The estimators beside scikit-learn's own network and a linear model, all with their defaults.

    python -m tests.benchmarks.estimators [NAME ...]

Five-fold cross validation on standardised inputs, with shuffled folds that are the same for all. Scores are
the mean over the folds: R² for diabetes, else the accuracy. The seconds are CPU time for all five folds,
fitting and scoring, on one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from typing import Any

from micrograd_mlp.estimators import MLPClassifier, MLPRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier
from sklearn.neural_network import MLPRegressor as SklearnMLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from micrograd_mlp.compiled import set_num_threads

DATA = {
    "diabetes": load_diabetes,
    "breast cancer": load_breast_cancer,
    "wine": load_wine,
    "digits": load_digits,
}


def contenders(name: str) -> dict[str, Any]:
    if name == "diabetes":
        return {
            "micrograd_mlp": MLPRegressor(random_state=0),
            "scikit-learn's MLP": SklearnMLPRegressor(random_state=0),
            "linear model": RidgeCV(),
        }
    return {
        "micrograd_mlp": MLPClassifier(random_state=0),
        "scikit-learn's MLP": SklearnMLPClassifier(random_state=0),
        "linear model": LogisticRegression(),
    }


def measure(estimator: Any, name: str) -> str:
    folds = (KFold if name == "diabetes" else StratifiedKFold)(5, shuffle=True, random_state=0)
    X, y = DATA[name](return_X_y=True)
    started = time.process_time()
    scores = cross_val_score(make_pipeline(StandardScaler(), estimator), X, y, cv=folds)
    return f"{scores.mean():.3f}, {time.process_time() - started:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.estimators")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(DATA)}; all if none is given"
    )
    names = parser.parse_args().names or list(DATA)
    warnings.simplefilter("ignore", ConvergenceWarning)
    set_num_threads(1)
    MLPClassifier((2,), max_iter=1).fit([[0.0], [1.0]] * 5, [0, 1] * 5)  # the first use compiles
    print(f"| | {' | '.join(contenders('wine'))} |")
    print("|" + " --- |" * 4)
    for name in names:
        cells = [measure(estimator, name) for estimator in contenders(name).values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    if (
        os.environ.get("OMP_NUM_THREADS") != "1"
    ):  # read when the libraries are loaded, so it starts itself again
        os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "tests.benchmarks.estimators", *sys.argv[1:]])
    sys.exit(main())
