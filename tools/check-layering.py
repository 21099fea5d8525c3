#!/usr/bin/env python3
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks that the folders depend on each other only as the architecture allows.

What may include what is decided once, and it erodes silently: one convenient
include, and the planner can no longer be tested without MLIR, or the runtime
drags a compiler along. This reads every #include and CMakeLists.txt and holds
them against the rules below, one test for each rule.

  tools/check-layering.py [--root DIR] [--xunit FILE]

Exits with 1 if a rule is broken, naming file, line and reason.
"""

import argparse
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

FOLDERS = ("dialects", "include", "lib", "tools", "test", "python", "cmake")
CPP_SUFFIXES = (".h", ".cpp", ".inc", ".cu")
SOURCE_SUFFIXES = CPP_SUFFIXES + (".td", ".py", ".sh", ".cmake")
SKIPPED_FOLDERS = ("__pycache__", "Inputs", ".pytest_cache")
MAX_LINES = 800

# Libraries without MLIR, and which of ours each may include besides itself.
PLAIN_LIBRARIES = {
    "Support": set(),
    "Topology": {"Support"},
    "Reshard": {"Support", "Topology", "Cost"},
    "Cost": {"Support", "Topology", "Reshard"},
    "Planner": {"Support", "Topology", "Reshard", "Cost", "Solve", "Schedule"},
    "Schedule": {"Support"},
    "Solve": {"Support"},
    # Judges what Solve claims, and must share no error with it.
    "Certificate": {"Support"},
    "Runtime": {"Support"},
}
# The same of those with MLIR that stay apart from the others.
BOUNDED_LIBRARIES = {**PLAIN_LIBRARIES, "Differentiate": {"Support"}}

INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')
COMPILER_HEADER = re.compile(r"(mlir|llvm|clang|mlir-c|llvm-c)/")
OUR_HEADER = re.compile(r"(?:partita|lib)/(\w+)/")
BUILD_POLICY = re.compile(
    r"\s*(add_subdirectory|include_directories|link_directories|add_definitions"
    r"|add_compile_options|add_link_options|target_compile_options"
    r"|target_compile_definitions|target_include_directories"
    r"|target_link_options|find_package|add_library|add_executable)\s*\(",
    re.IGNORECASE,
)
STATIC_COMPILER_LIBRARY = re.compile(r"\b((?:MLIR|LLVM)[A-Z]\w*)\b")


@dataclass
class Include:
    """One #include: where it is, and the name that it gives."""

    path: Path
    line: int
    header: str

    def place(self):
        return f"{self.path}:{self.line}"


class Tree:
    """The files of a checkout and all that they include."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk())
        self.includes = [
            include
            for path in self.files
            if path.suffix in CPP_SUFFIXES
            for include in self._read_includes(path)
        ]

    def _walk(self):
        for folder in FOLDERS:
            for parent, names, files in os.walk(self.root / folder):
                names[:] = [n for n in names if n not in SKIPPED_FOLDERS]
                for name in files:
                    yield (Path(parent) / name).relative_to(self.root)

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def _read_includes(self, path):
        for number, line in enumerate(self.text(path).splitlines(), 1):
            if match := INCLUDE.match(line):
                yield Include(path, number, match.group(1))


def library_of(path):
    """The library that a file belongs to: X of lib/X and include/partita/X."""
    parts = path.parts
    if parts[0] == "lib" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "partita") and len(parts) > 3:
        return parts[2]
    return None


def plain_libraries_do_without_mlir(tree):
    """Support, Topology, Reshard, Cost, Planner and Runtime include no header
    of LLVM, MLIR or a dialect."""
    for include in tree.includes:
        library = library_of(include.path)
        if library not in PLAIN_LIBRARIES:
            continue
        if COMPILER_HEADER.match(include.header):
            yield include.place(), f"{library} includes {include.header}"
        if include.header.startswith("dialects/"):
            yield include.place(), f"{library} includes {include.header}"


def plain_libraries_know_only_what_is_below(tree):
    """Support includes nothing of ours, Runtime and Differentiate only Support,
    and the planner's libraries only each other as far as they are below."""
    for include in tree.includes:
        library = library_of(include.path)
        match = OUR_HEADER.match(include.header)
        if library not in BOUNDED_LIBRARIES or not match:
            continue
        if match.group(1) not in BOUNDED_LIBRARIES[library] | {library}:
            yield include.place(), f"{library} includes {include.header}"


def dialects_know_only_support(tree):
    """Dialects include only Support, and of each other only headers: what is
    generated for a dialect is its own."""
    for include in tree.includes:
        parts = include.path.parts
        if parts[0] != "dialects":
            continue
        match = OUR_HEADER.match(include.header)
        if match and match.group(1) != "Support":
            yield include.place(), f"a dialect includes {include.header}"
        other = include.header.split("/")
        if (
            other[0] == "dialects"
            and other[1] != parts[1]
            and not include.header.endswith(".h")
        ):
            yield include.place(), f"{parts[1]} includes {include.header}"


def libraries_do_not_form_cycles(tree):
    """No library includes, directly or through others, one that includes it."""
    edges = {}
    for include in tree.includes:
        library = library_of(include.path)
        match = OUR_HEADER.match(include.header)
        if library and match and match.group(1) != library:
            edges.setdefault(library, {}).setdefault(match.group(1), include)

    def reaches(start, goal):
        seen, todo = set(), [start]
        while todo:
            library = todo.pop()
            if library == goal:
                return True
            if library not in seen:
                seen.add(library)
                todo.extend(edges.get(library, ()))
        return False

    for library in sorted(edges):
        for other, include in sorted(edges[library].items()):
            if reaches(other, library):
                reason = f"{library} includes {include.header}, and {other} "
                yield include.place(), reason + f"depends on {library}"


def private_headers_stay_private(tree):
    """A header in lib/X is included only within lib/X and by its tests. Files
    that TableGen generates there (.inc) may stand in X's public headers."""
    for include in tree.includes:
        parts = include.header.split("/")
        if parts[0] != "lib" or len(parts) < 3:
            continue
        owner, generated = parts[1], include.header.endswith(".inc")
        path = include.path.parts
        if path[:2] == ("lib", owner) or path[:3] == ("test", "unit", owner):
            continue
        if generated and library_of(include.path) == owner:
            continue
        yield include.place(), f"{include.header} is private to lib/{owner}"


def nothing_depends_on_tools(tree):
    """Libraries, dialects and headers include nothing of tools/."""
    for include in tree.includes:
        if include.header.startswith("tools/"):
            if include.path.parts[0] != "tools":
                yield include.place(), f"includes {include.header}"


def only_partita_opt_registers_all_of_mlir(tree):
    """InitAllDialects.h and its like take half a minute to compile and link all
    of MLIR: only partita-opt includes them."""
    for include in tree.includes:
        if re.search(r"(^|/)InitAll\w*\.h$", include.header):
            if include.path.parts[:2] != ("tools", "partita-opt"):
                yield include.place(), f"includes {include.header}"


def build_policy_is_in_one_place(tree):
    """Only cmake/ sets flags, finds packages or adds folders; every other
    CMakeLists.txt declares its target by the functions of AddPartita.cmake and
    links nothing of LLVM and MLIR but their dylibs."""
    for path in tree.files:
        if path.name != "CMakeLists.txt":
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            line = line.split("#")[0]
            place = f"{path}:{number}"
            if match := BUILD_POLICY.match(line):
                yield place, f"calls {match.group(1)}"
            if match := STATIC_COMPILER_LIBRARY.search(line):
                yield place, f"names the static library {match.group(1)}"


def files_are_short(tree):
    """No source file reaches 800 lines."""
    for path in tree.files:
        if path.suffix in SOURCE_SUFFIXES:
            lines = tree.text(path).count("\n")
            if lines >= MAX_LINES:
                yield str(path), f"has {lines} lines"


def files_name_their_licence(tree):
    """Every source file says under which licence it is."""
    for path in tree.files:
        if path.suffix in SOURCE_SUFFIXES and tree.text(path).strip():
            head = tree.text(path).splitlines()[:12]
            if not any("SPDX-License-Identifier:" in line for line in head):
                yield str(path), "has no SPDX-License-Identifier in its head"


RULES = (
    plain_libraries_do_without_mlir,
    plain_libraries_know_only_what_is_below,
    dialects_know_only_support,
    libraries_do_not_form_cycles,
    private_headers_stay_private,
    nothing_depends_on_tools,
    only_partita_opt_registers_all_of_mlir,
    build_policy_is_in_one_place,
    files_are_short,
    files_name_their_licence,
)


def write_xunit(path, results):
    """Writes the results as JUnit's XML, which tools/test-report.py reads."""
    suite = ElementTree.Element("testsuite", name="layering")
    for rule, violations in results:
        case = ElementTree.SubElement(suite, "testcase", name=rule.__name__)
        if violations:
            text = "\n".join(f"{place}: {why}" for place, why in violations)
            ElementTree.SubElement(case, "failure").text = text
    ElementTree.ElementTree(suite).write(path, encoding="unicode")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--xunit", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    tree = Tree(arguments.root)
    results = [(rule, list(rule(tree))) for rule in RULES]
    for rule, violations in results:
        print(f"{'FAIL' if violations else 'ok  '} {rule.__name__}")
        if violations:
            print(f"     {' '.join(rule.__doc__.split())}")
        for place, why in violations:
            print(f"  {place}: {why}")
    if arguments.xunit:
        write_xunit(arguments.xunit, results)
    return any(violations for _, violations in results)


if __name__ == "__main__":
    sys.exit(main())
