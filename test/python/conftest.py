# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes python/partita importable here and in the commands that tests start."""

import os
import pathlib
import sys

_PYTHON = str(pathlib.Path(__file__).resolve().parents[2] / "python")
sys.path.insert(0, _PYTHON)
os.environ["PYTHONPATH"] = os.pathsep.join([_PYTHON, *filter(None, [os.environ.get("PYTHONPATH")])])
