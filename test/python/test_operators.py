# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""docs/operators.md lists what is imported."""

import importlib.util

from helpers.tools import PARTITA, ROOT

_spec = importlib.util.spec_from_file_location(
    "operators_page", ROOT / "tools" / "operators.py"
)
operators_page = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(operators_page)


def test_the_page_lists_what_is_imported(compiler):
    listed = operators_page.documented(operators_page.PAGE.read_text())
    known = list(operators_page.imported(str(PARTITA)))
    assert len(known) > 100 and ("Add", "7") in known
    assert listed == known, "run tools/operators.py"


def test_results_are_kept_when_operators_are_added():
    results = {
        "test_add": {
            "status": "passed",
            "operators": ["ai.onnx::Add"],
            "operations": {"nn.add": "r"},
        },
        "test_add_bad": {
            "status": "failed",
            "operators": ["ai.onnx::Add"],
            "operations": {},
        },
        "test_add_expanded": {
            "status": "failed",
            "operators": ["ai.onnx::Add"],
            "operations": {},
        },
        "test_x": {
            "status": "passed",
            "operators": ["com.x::Y"],
            "operations": {"nn.y": "s"},
        },
    }
    assert operators_page.counts(results) == {"Add": "1/2", "com.x.Y": "1/1"}
    used, rules = operators_page.operations(results)
    assert used == {"Add": "add", "com.x.Y": "y"} and rules == {"add": "r", "y": "s"}
    text = operators_page.page([("Add", "7")], {"Add": " 1/2 | 1/2 | add "}, rules)
    assert operators_page.documented(text) == [("Add", "7")]
    row = operators_page.ROW.search(text)
    again = operators_page.page(
        [("Add", "7"), ("New", "1")], {"Add": row["rest"]}, rules
    )
    assert "| `Add` | 7 | 1/2 | 1/2 | add |" in again and "| `New` | 1 |" in again
    assert [m["name"] for m in operators_page.RULE.finditer(again)] == ["add", "y"]
