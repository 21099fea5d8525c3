# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where the compiler is that a command of this package runs."""

from __future__ import annotations

import os
import pathlib
import shutil

from .errors import UNSUPPORTED, UserError

PRESETS = ("ci", "dev", "release")


def find_partita(chosen: str = "") -> str:
    """The one chosen, of $PARTITA_BUILD_DIR, of this checkout, or of PATH.

    UserError if there is none.
    """
    checkout = pathlib.Path(__file__).resolve().parents[2]
    builds = [checkout / "build" / preset for preset in PRESETS]
    if "PARTITA_BUILD_DIR" in os.environ:
        builds = [pathlib.Path(os.environ["PARTITA_BUILD_DIR"])]
    candidates = [chosen] if chosen else [str(build / "bin" / "partita") for build in builds]
    for candidate in candidates if chosen else [*candidates, "partita"]:
        if found := shutil.which(candidate):
            return found
    raise UserError(
        f"the compiler is not there: {', '.join(candidates)}",
        hint="build it with tools/demo.sh, or name it with --partita",
        code=UNSUPPORTED,
    )
