# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The models that Partita is tested, shown and measured with.

table.py says which there are, graph.py makes an ONNX graph of one, weights.py
gives it weights and writes it, __main__.py is the command line.
"""
