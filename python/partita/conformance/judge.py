# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether outputs are what a case says.

As in ONNX's own runner: shapes and types are equal, numbers close within the
case's tolerances. ONNX's half-precision outputs come from chains of half
operations, each rounded; Partita may round once. Both are right, so these may
differ by two units in the last place of the type. What is left where sums
cancel is noise of the largest numbers: two units in their last place are none.
"""

from __future__ import annotations

import numpy

from .cases import stored

_HALF_STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
_STEPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def difference(expected, got, rtol: float, atol: float) -> str:
    """What differs, or an empty string. `got` is as files hold it."""
    name = expected.dtype.name
    rtol = max(rtol, 2 * _HALF_STEPS.get(name, 0.0))
    expected = stored(expected)
    if got.dtype != expected.dtype:
        return f"is {got.dtype.name} and should be {expected.dtype.name}"
    if got.shape != expected.shape:
        return f"has shape {list(got.shape)} and should have {list(expected.shape)}"
    if expected.dtype.kind in "biu":
        wrong = got != expected
    else:
        right, given = expected.astype(numpy.float64), got.astype(numpy.float64)
        largest = numpy.abs(right, where=numpy.isfinite(right), out=numpy.zeros_like(right))
        noise = 2 * _STEPS.get(name, 0.0) * largest.max(initial=0.0)
        with numpy.errstate(all="ignore"):
            wrong = ~numpy.isclose(given, right, rtol, max(atol, noise), equal_nan=True)
    if not wrong.any():
        return ""
    first = tuple(int(i[0]) for i in numpy.nonzero(numpy.atleast_1d(wrong)))
    at = first if expected.ndim else ()
    return (
        f"differs in {int(wrong.sum())} of {wrong.size} elements, first at {list(at)}:"
        f" {got[at]} and should be {expected[at]}"
    )
