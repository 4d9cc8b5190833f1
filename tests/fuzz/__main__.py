"""`python -m tests.fuzz`: foreign text in great numbers; only clear errors may come out.

Each input is read under a clock, and under an audit hook that sees every file that Python opens to write,
removes, renames or creates, and every process that it starts.
"""

import argparse
import sys
import time

from tests.fuzz.harness import fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is given"
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target (100000)")
    arguments = parser.parse_args()
    for name in arguments.targets or TARGETS:
        if name not in TARGETS:
            parser.error(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
        start = time.perf_counter()
        counts = fuzz(TARGETS[name], arguments.inputs)
        print(
            f"{name}: {counts.inputs:,} inputs, {counts.accepted:,} accepted, {counts.refused:,} refused by "
            f"{TARGETS[name].error.__name__} with {len(counts.kinds):,} different messages; "
            f"the slowest took {counts.slowest:.2f} s, all {time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
