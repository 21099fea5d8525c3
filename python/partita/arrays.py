# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Named tensors as a folder of .npy files, one a tensor.

A tensor named N is the file N.npy, with every character of N outside
A-Z a-z 0-9 . _ - replaced by an underscore: names may hold slashes and colons.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import numpy

from .errors import UserError
from .files import written_whole


def file_names(names: Iterable[str]) -> dict[str, str]:
    """The file name of each tensor; UserError where two would share one."""
    files: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        file = re.sub(r"[^A-Za-z0-9._-]", "_", name) + ".npy"
        if file in owners:
            raise UserError(f"'{owners[file]}' and '{name}' would both be the file {file}")
        files[name], owners[file] = file, name
    return files


def load(path: str) -> numpy.ndarray:
    """The array of one .npy file. Pickled objects are refused: they run code."""
    try:
        with open(path, "rb") as file:
            return numpy.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError, OverflowError) as error:
        raise UserError(f"{path} is not an array of numbers in .npy form: {error}") from None


def load_all(folder: str, names: Iterable[str]) -> dict[str, numpy.ndarray]:
    """The arrays of the named tensors; UserError lists all that are missing."""
    files = file_names(names)
    missing = [f for f in files.values() if not os.path.isfile(os.path.join(folder, f))]
    if missing:
        raise UserError(
            f"{folder} has no {', '.join(missing)}",
            hint="python3 -m partita.inputs MODEL.onnx -o DIR makes random ones",
        )
    return {name: load(os.path.join(folder, file)) for name, file in files.items()}


def save_all(folder: str, tensors: dict[str, numpy.ndarray]) -> None:
    """Writes each tensor into the folder, which is made if there is none."""
    os.makedirs(folder, exist_ok=True)
    for name, file in file_names(tensors).items():
        save(os.path.join(folder, file), tensors[name])


def save(path: str, values: numpy.ndarray) -> None:
    """Writes one array as .npy."""
    with written_whole(path) as out:
        numpy.lib.format.write_array(out, numpy.asarray(values, order="C"), allow_pickle=False)
