# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX's own cases for its operators: the oracle of the importer.

The onnx package makes models, inputs and expected outputs of some 1,900 cases.
They are written to a directory, which the hidden test of the C++ unit tests
then imports, raises and interprets (test/unit/Import/CasesTest.cpp).
"""

import os
import re
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

# Fewer than this passed: something that worked no longer does.
FLOOR = 840


def unittest_binary() -> Path:
    root = Path(__file__).resolve().parents[2]
    build = Path(os.environ.get("PARTITA_BUILD_DIR", root / "build" / "dev"))
    return build / "unittests" / "PartitaImportTests"


def write_cases(directory: Path) -> int:
    import onnx.backend.test.case.node as node
    from onnx import numpy_helper

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = node.collect_testcases(None)
    for case in cases:
        folder = directory / case.name
        folder.mkdir(exist_ok=True)
        onnx.save(case.model, folder / "model.onnx")
        inputs, outputs = case.data_sets[0]
        for kind, values in (("in", inputs), ("out", outputs)):
            for i, value in enumerate(values):
                if isinstance(value, onnx.TensorProto):
                    value = numpy_helper.to_array(value)
                # Sequences and optional values are not supported anyway.
                if isinstance(value, (np.ndarray, np.generic)):
                    array = np.asarray(value)
                    if array.dtype.kind in "biuf":
                        np.save(folder / f"{kind}_{i}.npy", array)
    return len(cases)


def test_operators_compute_what_onnx_says(tmp_path):
    binary = unittest_binary()
    if not binary.exists():
        pytest.skip(f"{binary} is not built")
    assert write_cases(tmp_path) > 1500
    result = subprocess.run(
        [str(binary), "[onnx-cases]"],
        env={**os.environ, "PARTITA_ONNX_CASES": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    passed = int(re.search(r"onnx cases: (\d+) passed", result.stdout).group(1))
    assert passed >= FLOOR
