"""Samples of many similar cases: an ordinary run tries one of each group, `-m exhaustive` the others."""

import pytest


def one_of_each(groups):
    """Arguments for `parametrize`. A group is a list of cases, a case its id and then its arguments.

    Which case of a group is tried goes on from group to group, so that every kind of case has its turn.
    """
    return [
        pytest.param(*arguments, id=name, marks=() if j == i % len(group) else pytest.mark.exhaustive)
        for i, group in enumerate(groups)
        for j, (name, *arguments) in enumerate(group)
    ]
