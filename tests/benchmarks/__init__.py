"""micrograd_mlp beside its peers, in one process, measured in turns.

    pip install "micrograd_mlp[bench]"
    python -m tests.benchmarks                    every row; a few minutes
    python -m tests.benchmarks moons digits       the rows named so; --list tells the names
    python -m tests.benchmarks --only loop        the training rows beside JAX's jitted loop; a minute or two
    python -m tests.benchmarks moons wide128 --only loop --dtype float32 --rounds 5      in seconds
    python -m tests.benchmarks --cpu              measures CPU time, on a machine that others use too
    python -m tests.benchmarks --quick            shows that everything runs; its times mean little
    python -m tests.benchmarks --markdown         the table as the README shows it

`harness` measures and prints. `tasks` says what the training rows train, `networks` how each package does
so, and `training` makes their table. Each other file holds rows: what is computed, how each peer is
written, and the least ratio that is promised.
"""
