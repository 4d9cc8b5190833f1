"""NumPy for test files of which only a part needs it: without it that part is skipped, as in Pyodide.

from tests.optional import from_numpy, np
"""

import pytest


class Missing:
    """In NumPy's place: a test that uses it is skipped."""

    def __init__(self, error):
        self._error = str(error)

    def __getattr__(self, name):
        if name.startswith("_"):  # pytest looks at what a file contains
            raise AttributeError(name)
        pytest.skip(self._error)


try:
    import numpy as np
except ImportError as error:
    np = Missing(error)


def from_numpy(make):
    """Parameters of a test that NumPy makes, as a list to unpack among others."""
    if isinstance(np, Missing):
        return [pytest.param(None, marks=pytest.mark.skip(reason=np._error))]
    return make(np)
