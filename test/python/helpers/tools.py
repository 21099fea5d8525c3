# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Starting the compiler and what it compiles, and reading what they print."""

from __future__ import annotations

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("PARTITA_BUILD_DIR") or ROOT / "build" / "dev")
PARTITA = BUILD / "bin" / "partita"
SANITIZED = "asan" in BUILD.name

#: "error[code]: place: message", then "  hint: hint".
_ERROR = re.compile(r"^error\[(?P<code>[a-z][a-z0-9.-]*)\]: (?P<text>.*)$", re.MULTILINE)
_HINT = re.compile(r"^  hint: (?P<hint>\S.*)$", re.MULTILINE)


def require_compiler() -> None:
    """Skips where nothing was built; fails where a build was asked for and is not there."""
    if not PARTITA.exists():
        assert "PARTITA_BUILD_DIR" not in os.environ, f"{PARTITA} is missing"
        pytest.skip(f"{PARTITA} is not built")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    command: list[str]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return (
            f"$ {' '.join(self.command)}\n{self.out[-2000:]}{self.err[-4000:]}exit code {self.code}"
        )

    def json(self):
        """stdout, parsed."""
        return json.loads(self.out)


def limit_memory(size: int):
    """What a process does before it starts, for its memory to be limited to `size` bytes.

    Sanitizers reserve terabytes of addresses, and check memory by themselves.
    """
    if SANITIZED:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def start(*command, environment=None, timeout=120, **options) -> Done:
    """Runs a command to its end, whatever its exit code."""
    words = [str(word) for word in command]
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    done = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PARTITA_PYTHON": sys.executable, **(environment or {})},
        timeout=timeout,
        **options,
    )
    return Done(words, done.returncode, done.stdout, done.stderr)


def partita(*arguments, **options) -> Done:
    """Runs the compiler to its end, whatever its exit code."""
    return start(PARTITA, *arguments, **options)


def succeeds(done: Done) -> Done:
    """The same command, which must have ended well and without a message."""
    assert done.code == 0, str(done)
    assert not _ERROR.search(done.err), str(done)
    return done


@dataclass(frozen=True)
class Message:
    """The one error that a command ended with; text is "place: message"."""

    code: str
    text: str
    hint: str


def fails(done: Done, exit_code: int) -> Message:
    """The message of a command that must have ended with exactly one of them.

    It has a code, a place and a hint, and nothing else stands on stderr.
    """
    assert done.code == exit_code, f"exit code {exit_code} expected\n{done}"
    errors = list(_ERROR.finditer(done.err))
    assert len(errors) == 1 and errors[0].start() == 0, f"not one message\n{done}"
    hints = list(_HINT.finditer(done.err))
    assert len(hints) == 1, f"not one hint\n{done}"
    assert done.err[hints[0].end() :].strip() == "", f"text after the hint\n{done}"
    body = done.err[errors[0].start("text") : hints[0].start()].strip()
    place, colon, message = body.partition(": ")
    assert place and colon and message, f"no place\n{done}"
    return Message(errors[0]["code"], body, hints[0]["hint"])


def report(executable, *arguments, **options) -> dict:
    """Runs an executable and returns its --report json."""
    return succeeds(start(executable, *arguments, "--report", "json", **options)).json()
