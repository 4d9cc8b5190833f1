"""`python -m tests.fuzz`: foreign text in great numbers; only clear errors may come out.

Driven by atheris (`pip install atheris`), which mutates the seeds and keeps what reaches new code. Each
input is read under a clock, and under an audit hook that sees every file that Python opens to write, removes,
renames or creates, and every process that it starts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["micrograd_mlp"]):
    from tests.fuzz.harness import SECONDS, Counts, check
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
    if len(arguments.targets) == 1:
        fuzz(arguments.targets[0], arguments.inputs)
    for name in arguments.targets or TARGETS:  # each in a process of its own, since atheris ends its process
        command = [sys.executable, "-m", "tests.fuzz", name, "--inputs", str(arguments.inputs)]
        with tempfile.TemporaryFile() as log:
            if subprocess.run(command, stderr=log, check=False).returncode:
                log.seek(0)
                sys.stderr.buffer.write(log.read())
                return 1
    return 0


def fuzz(name: str, inputs: int) -> None:
    """Read that many inputs, print what came out, and end the process."""
    target, counts, start = TARGETS[name], Counts(), time.perf_counter()

    def read(data: bytes) -> None:
        check(target, target.from_bytes(data), counts)
        if counts.inputs == inputs:
            print(
                f"{name}: {counts.inputs:,} inputs, {counts.accepted:,} accepted, {counts.refused:,} refused "
                f"by {target.error.__name__} with {len(counts.kinds):,} different messages; the slowest took "
                f"{counts.slowest:.2f} s, all {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            os._exit(0)

    folder = Path(tempfile.mkdtemp(prefix="micrograd_mlp_fuzz_"))
    for number, seed in enumerate(target.seeds):
        (folder / str(number)).write_bytes(seed)
    words = Path(tempfile.mkstemp(prefix="micrograd_mlp_words_")[1])
    words.write_text(
        "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words)
    )
    options = ["-seed=1", "-max_len=3000", f"-timeout={SECONDS}", f"-dict={words}", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
