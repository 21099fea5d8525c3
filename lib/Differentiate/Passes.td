//===- Passes.td - From a model to its training step -------*- tablegen -*-===//
//
// Part of the Partita project, under the Apache License v2.0 with LLVM
// Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def Differentiate : Pass<"nn-differentiate", "::mlir::ModuleOp"> {
  let summary = "Makes a model's program that of a step of training it";
  let description = [{
    Behind the forward pass of @step come a loss of one output, the backward
    pass and the optimizer. Precondition: composites are raised, since each has
    one rule of its own. With the optimizer "none" the results are the output,
    the loss and all gradients; with "adamw" the weights and its two averages
    become arguments of @step, and their next values results. What is computed
    and not used goes. Planning relies on the ids: those of an operation's
    backward pass begin with the operation's.

    ```mlir
    %y = nn.matmul %x, %w {nn.id = "y"}                           // before
    return %y
    %y = nn.matmul %x, %w {nn.id = "y"}                           // after
    %l = nn.reduce "sum", %y [0, 1] {nn.id = "train.loss"}
    %g = nn.constant dense<1.0> {nn.id = "train.loss/grad"}
    %t = nn.transpose %x [1, 0] {nn.id = "y/grad"}
    %d = nn.matmul %t, %g {nn.id = "y/grad.1"}
    return %y, %l, %d
    ```
  }];
  let options = [
    Option<"loss", "loss", "std::string", "\"cross-entropy\"",
      "cross-entropy, sum, or given: the gradient of the output is an input">,
    Option<"optimizer", "optimizer", "std::string", "\"adamw\"",
      "adamw, or none: gradients are results">,
    Option<"output", "output", "std::string", "\"\"",
      "Which output the loss is of; the first of floating point without it">,
    Option<"bf16", "bf16", "bool", "false",
      "Compute in bf16 what depends on weights">,
    Option<"inputGradients", "input-gradients", "bool", "false",
      "With the optimizer none, gradients of inputs too">,
  ];
}
