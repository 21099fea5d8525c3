# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Python companions of the Partita compiler.

partita.zoo        exports the models that tests, demos and benchmarks use
partita.inputs     makes random inputs that are valid for a model
partita.reference  runs a model with ONNX Runtime, the outside oracle
partita.minilm     sentences to MiniLM's inputs, and its outputs to embeddings
"""

__version__ = "0.1.0"
