# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Errors that reach the user, and the exit codes that the commands share.

A command raises UserError anywhere; run_command turns it into one line on
stderr, a hint, and the exit code that the compiler's own tools use too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

OK = 0
USAGE = 1
INVALID_INPUT = 2
UNSUPPORTED = 3  # A missing package counts as an unsupported environment.
MISMATCH = 5
INTERRUPTED = 130  # As a shell counts a process that SIGINT ended.


class UserError(Exception):
    """A problem that the user can repair: what is wrong, a hint, a code."""

    def __init__(self, message: str, hint: str = "", code: int = INVALID_INPUT):
        super().__init__(message)
        self.hint = hint
        self.code = code


def missing_package(package: str, what_for: str, pip_line: str) -> UserError:
    """The error for a package that is not installed; names the repair."""
    return UserError(
        f"{what_for} needs the Python package '{package}', which is missing",
        hint=f"{sys.executable} -m pip install {pip_line}",
        code=UNSUPPORTED,
    )


def run_command(name: str, body: Callable[[], None]) -> int:
    """Runs body and returns the exit code, having reported any UserError or Ctrl-C."""
    try:
        body()
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        if error.hint:
            print(f"{name}: hint: {error.hint}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return INVALID_INPUT
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return OK
