"""Each test here draws 40 examples at most: an example holds a whole network's numbers."""

import contextlib
from pathlib import Path

from hypothesis import is_hypothesis_test, settings
from hypothesis.errors import InvalidArgument


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent and is_hypothesis_test(getattr(item, "function", None)):
            with contextlib.suppress(InvalidArgument):  # the test says how many itself
                settings(max_examples=min(40, settings.default.max_examples))(item.function)
