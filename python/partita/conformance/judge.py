# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether outputs are what a case says.

As in ONNX's own runner: shapes and types are equal, numbers close within the
case's tolerances. ONNX's half-precision outputs come from chains of half
operations, each rounded; Partita may round once. Both are right, so these may
differ by two units in the last place of the type.
"""

from __future__ import annotations

import numpy

_HALF_STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def difference(expected, got, rtol: float, atol: float) -> str:
    """What differs, or an empty string. `got` holds bfloat16 as float32."""
    name = expected.dtype.name
    rtol = max(rtol, 2 * _HALF_STEPS.get(name, 0.0))
    stored = "float32" if name == "bfloat16" else name
    if got.dtype.name != stored:
        return f"is {got.dtype.name} and should be {stored}"
    if got.shape != expected.shape:
        return f"has shape {list(got.shape)} and should have {list(expected.shape)}"
    if expected.dtype.kind in "biu":
        wrong = got != expected
    else:
        wide = numpy.float64
        with numpy.errstate(all="ignore"):
            wrong = ~numpy.isclose(
                got.astype(wide), expected.astype(wide), rtol, atol, equal_nan=True
            )
    if not wrong.any():
        return ""
    first = tuple(int(i[0]) for i in numpy.nonzero(numpy.atleast_1d(wrong)))
    at = first if expected.ndim else ()
    return (
        f"differs in {int(wrong.sum())} of {wrong.size} elements, first at {list(at)}:"
        f" {got[at]} and should be {expected[at]}"
    )
