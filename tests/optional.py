"""NumPy for test files of which only a part needs it: without it that part is skipped, as in Pyodide.

from tests.optional import from_numpy, np
"""

import pytest

try:
    import numpy as np
except ImportError as error:
    MISSING = str(error)

    class Missing:
        """In NumPy's place: a test that uses it is skipped."""

        def __getattr__(self, name):
            pytest.skip(MISSING)

    np = None


def from_numpy(make):
    """Parameters of a test that NumPy makes, as a list to unpack among others."""
    if np is None:
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
    return make(np)


if np is None:
    np = Missing()
