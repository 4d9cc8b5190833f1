"""`python -m micrograd_mlp` is the command `micrograd-mlp`."""

import sys

from micrograd_mlp.app.cli import main

sys.exit(main())
