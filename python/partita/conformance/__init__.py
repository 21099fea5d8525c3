# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Holds Partita against ONNX's own test data: see `python3 -m partita.conformance --help`.

ONNX defines its operators by cases: models with inputs and the outputs they must
have. A folder of them is read (cases), each is made static as Partita wants it
(specialise), run by the interpreter or as an executable in a process of its own
(workers), and what it computed is compared as ONNX compares it (judge).
"""
