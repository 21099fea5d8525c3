# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files that appear under their name whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from .errors import UserError


@contextmanager
def written_whole(path: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that gets its name when it is written to the end.

    A device or a pipe is written as it is: there is nothing to rename over.
    UserError names the path where writing fails; nothing is left behind then.
    """
    direct = os.path.exists(path) and not os.path.isfile(path)
    name = path if direct else f"{path}.{os.getpid()}.tmp"
    try:
        with open(name, "wb") as file:
            yield file
        if not direct:
            os.replace(name, path)
    except BaseException as error:
        if not direct:
            remove_if_there(name)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None
        raise


def remove_if_there(path: str) -> None:
    """Removes a file; it is no error if there is none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
