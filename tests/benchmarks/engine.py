"""The eager engine: graphs built in Python, node by node.

- demo: micrograd's demo (moons, 100 points, 2-16-16-1 ReLU, hinge + 1e-4·Σθ², full batch), a whole step
  in each package's own words, the garbage collector as it is by default.
- scalars: one graph of single scalar operations, the same lines of code for Values and for PyTorch's
  scalar tensors; forward and backward.
- size: a node's bytes, and a chain of a million additions in a Python of its own.
- import: what `import micrograd_mlp` adds to a bare start of Python.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from micrograd_mlp import Value
from tests.benchmarks import networks, tasks
from tests.benchmarks.harness import (
    Contender,
    Effort,
    Line,
    NotRunError,
    Running,
    duration,
    race,
    single_threaded_torch,
)


def demo(effort: Effort) -> list[Line]:
    task = tasks.moons(lr=0.5)
    contenders = [
        Contender("micrograd_mlp, eager", lambda: networks.eager(task)),
        Contender("micrograd", lambda: networks.micrograd(task), 4),
    ]
    return race(contenders, effort)


def scalars(effort: Effort) -> list[Line]:
    contenders = [
        Contender("micrograd_mlp, eager", scalars_of_ours),
        Contender("PyTorch, scalar tensors", scalars_of_pytorch, 4),
    ]
    return race(contenders, effort)


START = (0.3, -0.7, 1.1)
ROUNDS, OPS_A_ROUND = 100, 10


def scalar_graph(a: Any, b: Any, c: Any) -> Any:
    """1,000 operations on single numbers, and two to sum up."""
    for _ in range(ROUNDS):
        a, b, c = (a * b + c).tanh(), (b - a * c).sigmoid(), (c / (b * b + a).exp()).relu()
    return a + b + c


def scalars_of_ours() -> Running:
    leaves = [Value(number) for number in START]

    def forward_and_backward() -> float:
        for leaf in leaves:
            leaf.grad = 0.0
        output = scalar_graph(*leaves)
        output.backward()
        return output.data

    value = forward_and_backward()
    answer = {"loss": np.array([value]), "gradient": np.array([leaf.grad for leaf in leaves])}
    return Running(forward_and_backward, units=ROUNDS * OPS_A_ROUND + 2, answer=answer)


def scalars_of_pytorch() -> Running:
    torch = single_threaded_torch()
    leaves = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in START]

    def forward_and_backward() -> float:
        for leaf in leaves:
            leaf.grad = None
        output = scalar_graph(*leaves)
        output.backward()
        return output.item()

    value = forward_and_backward()
    answer = {"loss": np.array([value]), "gradient": np.array([leaf.grad.item() for leaf in leaves])}
    return Running(forward_and_backward, units=ROUNDS * OPS_A_ROUND + 2, answer=answer)


BYTES_A_NODE = """
import json, tracemalloc
from micrograd_mlp import Value
from tests.benchmarks.engine import START, scalar_graph
leaves = [Value(number) for number in START]
tracemalloc.start()
output = scalar_graph(*leaves)
used, _ = tracemalloc.get_traced_memory()
print(json.dumps(used / len(output.topological_order())))
"""

CHAIN = """
import json, resource, sys, time
from micrograd_mlp import Value
n = 1_000_000
start = time.perf_counter()
x = one = Value(1.0)
for _ in range(n):
    x = x + one
x.backward()
assert x.data == n + 1 == one.grad, (x.data, one.grad)
del x
seconds = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6]))
"""


def size(effort: Effort) -> list[Line]:
    try:
        import resource  # noqa: F401 - the chain's own Python needs it
    except ImportError:
        raise NotRunError("peak memory is read through `resource`, which this system lacks") from None
    node = _in_a_fresh_python(BYTES_A_NODE)
    seconds, megabytes = _in_a_fresh_python(CHAIN)
    return [
        Line("a node of a graph of scalar operations", f"{node:.0f} bytes", "", "≤ 300", node <= 300),
        Line("1,000,000 additions: build, backward, free", duration(seconds), "", "< 5 s", seconds < 5),
        Line("its peak of memory, Python included", f"{megabytes:.0f} MB", "", "< 400", megabytes < 400),
    ]


NOT_IMPORTED = ("numpy", "graphviz", "matplotlib")


def import_time(effort: Effort) -> list[Line]:
    loaded = _in_a_fresh_python(
        "import json, sys, micrograd_mlp\n"
        f"print(json.dumps([name for name in {NOT_IMPORTED!r} if name in sys.modules]))"
    )
    _start("import micrograd_mlp")  # writes the byte code
    pairs = [(_start("import micrograd_mlp"), _start("pass")) for _ in range(3 if effort.quick else 25)]
    added = statistics.median(with_import - bare for with_import, bare in pairs)
    return [
        Line("import micrograd_mlp, over a bare start", duration(added), "", "< 50 ms", added < 0.05),
        Line(
            "numpy, graphviz or matplotlib imported by it",
            ", ".join(loaded) or "none",
            "",
            "none",
            not loaded,
        ),
    ]


def _start(code: str) -> float:
    """Seconds from start to end of a Python that keeps its byte code, as an installed package has it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - start


def _in_a_fresh_python(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
