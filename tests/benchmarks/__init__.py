"""micrograd_mlp beside its peers, in one process, measured in turns.

    pip install "micrograd_mlp[bench]"
    python -m tests.benchmarks                    every row; a few minutes
    python -m tests.benchmarks moons digits       the rows named so; --list tells the names
    python -m tests.benchmarks --quick            shows that everything runs; its times mean little
    python -m tests.benchmarks --markdown         the table as the README shows it

`harness` measures and prints. Each other file holds rows: what is computed, how each peer is written,
and the least ratio that is promised.
"""
