# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes a failing case smaller: fewer outputs, nodes cut off at either end."""

from __future__ import annotations

import shlex

import numpy

from .builder import Value, assemble
from .execute import Trial
from .generate import Case, feed


def trial_of(case: Case, nodes, inputs, outputs) -> Trial:
    """The part of the case's graph between `inputs` and `outputs`."""
    model = assemble(nodes, inputs, case.builder.initializers, outputs)
    names = {entry.name for entry in model.graph.input}
    arrays = feed(inputs, case.seed)
    return Trial(
        model,
        {name: arrays[name] for name in arrays if name in names},
        case.ranks,
        case.mesh,
        case.plan_seed,
    )


def whole(case: Case) -> Trial:
    """The case as it was generated."""
    return trial_of(case, case.builder.nodes, case.builder.inputs, case.outputs)


def minimise(case: Case, fails) -> Trial:
    """The smallest trial found for which fails(trial) holds, as it does for the whole.

    Plans depend on the program, so a smaller one under the same seed is split in
    another way: each step tries a few seeds.
    """
    nodes, inputs, outputs = case.builder.nodes, case.builder.inputs, case.outputs
    best = whole(case)

    def attempt(nodes, inputs, outputs) -> bool:
        nonlocal best
        for shift in range(4):
            trial = trial_of(case, nodes, inputs, outputs)
            trial = Trial(
                trial.model, trial.arrays, trial.ranks, trial.mesh, case.plan_seed + shift
            )
            if fails(trial):
                best = trial
                return True
        return False

    values = {value.name: value for value in case.builder.values}

    def known(names) -> list[Value]:
        return [values[name] for name in names if name in values]

    for value in list(outputs):
        if len(outputs) > 1 and attempt(nodes, inputs, [value]):
            outputs = [value]
            break
    progress = True
    while progress:
        progress = False
        live = [node for node in nodes if node.name in {n.name for n in best.model.graph.node}]
        for node in live:
            cut = [other for other in nodes if other is not node]
            # Its results become inputs; or what it reads becomes the output.
            if len(live) > 1 and attempt(cut, inputs + known(node.output), outputs):
                nodes, inputs, progress = cut, inputs + known(node.output), True
                break
            read = known(name for name in node.input if name not in {v.name for v in inputs})
            if read and attempt(nodes, inputs, read):
                outputs, progress = read, True
                break
    return best


def save(trial: Trial, folder, stem: str) -> list:
    """Writes STEM.onnx, STEM.options and its inputs; returns a command's words."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.onnx"
    path.write_bytes(trial.model.SerializeToString())
    path.with_suffix(".options").write_text(shlex.join(trial.options()) + "\n")
    words = ["partita", "verify", path, *trial.options()]
    for name, array in trial.arrays.items():
        numpy.save(folder / f"{stem}.{name}.npy", array)
        words += ["--input", f"{name}={folder / stem}.{name}.npy"]
    return words
