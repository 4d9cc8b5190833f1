"""Both precisions: a test that has `compile` or `dtype` as an argument runs in float64 and in float32.

A test that is about the bits of doubles says so with `float64_only`.
"""

import functools

import pytest

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def compile(dtype):
    """`compile` of the package, in the precision of this run of the test."""
    import micrograd_mlp  # which needs an extra for this

    return functools.partial(micrograd_mlp.compile, dtype=dtype)


@pytest.fixture
def approx(dtype):
    """`pytest.approx` with these tolerances in float64.

    In float32 so many roundings are allowed instead, of the expected number or, where it may be the
    difference of larger ones, of a number of this `size`.
    """

    def of_precision(expected, rel, abs=0.0, roundings=16, size=0.0):
        if dtype == "float32":
            rel = roundings * UNIT[dtype]
            abs = rel * size
        return pytest.approx(expected, rel=rel, abs=abs)

    return of_precision
