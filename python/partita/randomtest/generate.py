# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A case by its seed: model, mesh, strategies and inputs."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy

from . import images  # noqa: F401  Registers its families.
from .builder import NUMPY, Builder, Impossible, Value
from .families import FAMILIES

MESHES = ("", "a=2", "a=2", "a=3", "a=4", "a=2,b=2", "a=2,b=3")


@dataclass
class Case:
    """What is run: `partita` gets the model, cpu:RANKS, the mesh and the plan's seed."""

    seed: int
    builder: Builder
    outputs: list[Value]
    mesh: str
    plan_seed: int

    @property
    def ranks(self) -> int:
        sizes = [int(axis.split("=")[1]) for axis in self.mesh.split(",") if axis]
        return int(numpy.prod(sizes, dtype=int))


def start(b: Builder) -> None:
    """Inputs of every kind of value that operators look for."""
    rng = b.rng
    kind = rng.choice(("sequence", "image", "plain", "plain"))
    dtype = "f64" if rng.random() < 0.15 else "f32"
    if kind == "sequence":
        b.input(dtype, b.shape(3))
    elif kind == "image":
        size = rng.choice((5, 6, 7, 8))
        b.input("f32", (rng.choice((1, 2, 3)), rng.choice((1, 2, 3, 4, 6)), size, size + 1))
    else:
        b.input(dtype, b.shape(rng.randint(1, 4)))
    if rng.random() < 0.6:
        b.input(rng.choice(("i64", "i32")), b.shape(rng.randint(1, 3)))


def generate(seed: int, families: list[str] | None = None) -> Case:
    """The same case for the same arguments."""
    rng = random.Random(seed)
    b = Builder(rng)
    start(b)
    operators = [make for name in families or sorted(FAMILIES) for make in FAMILIES[name]]
    wanted = rng.choice((1, 2, 3, 5, 8, 12))
    for _ in range(20 * wanted):
        if wanted == 0:
            break
        mark = b.mark()
        try:
            rng.choice(operators)(b)
            wanted -= 1
        except Impossible:
            b.reset(mark)
    read = {name for node in b.nodes for name in node.input}
    made = {name for node in b.nodes for name in node.output}
    ends = [value for value in b.values if value.name in made and value.name not in read]
    inner = [value for value in b.values if value.name in made and value.name in read]
    outputs = ends[-3:]
    if inner and rng.random() < 0.3:
        outputs.append(rng.choice(inner))
    if not outputs:  # Nothing fitted the inputs.
        outputs = b.add("Identity", [b.values[0]], [signature(b.values[0])])
    return Case(seed, b, outputs, rng.choice(MESHES), rng.getrandbits(31))


def signature(value: Value) -> tuple:
    """What Builder.add takes of a result like this value."""
    return value.dtype, value.shape, value.exact, value.bound


def feed(inputs: list[Value], seed: int) -> dict[str, numpy.ndarray]:
    """Normal numbers, and small whole ones for exact values."""
    arrays = {}
    for position, value in enumerate(inputs):
        generator = numpy.random.default_rng([seed, position])
        if value.dtype == "bool":
            array = generator.integers(0, 2, value.shape)
        elif value.exact:
            array = generator.integers(-4, 5, value.shape)
        else:
            array = generator.standard_normal(value.shape)
        arrays[value.name] = array.astype(NUMPY[value.dtype])
    return arrays
