#!/usr/bin/env python3
# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Adds up what tools/test.sh ran: a table by suite, what failed, and the line
`N passed, N failed, N skipped`.

Reads FOLDER/SUITE.status ("FORMAT EXIT-CODE") and FOLDER/SUITE.xml beside it,
whose format is `junit` (lit, pytest, check-layering.py) or `catch` (Catch2's
own, which counts test cases; its JUnit output counts assertions). A suite that
ran out of time, found no test, or ended badly without naming one counts as one
failed test: nothing is lost silently. Exits with 1 if a test failed or none ran.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass
class Suite:
    name: str
    passed: int = 0
    skipped: int = 0
    complete: bool = True  # Whether its output was written to the end.
    failures: list = field(default_factory=list)  # (test, text or "")


def read_elements(suite, path, tag):
    """The elements `tag` of an XML file, as far as it goes: a program that dies
    leaves its output cut off, and what it had written still counts."""
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == tag:
                yield element
    except (ElementTree.ParseError, FileNotFoundError):
        suite.complete = False


def read_junit(suite, path):
    for case in read_elements(suite, path, "testcase"):
        name = f"{case.get('classname', '')}::{case.get('name')}".lstrip(":")
        if case.find("failure") is not None or case.find("error") is not None:
            suite.failures.append((name, ""))  # The suite has shown it itself.
        elif case.find("skipped") is not None:
            suite.skipped += 1
        else:
            suite.passed += 1


def describe_catch_failures(case):
    """The failed assertions and exceptions of a Catch2 test case, as text."""
    lines = []
    for element in case.iter():
        place = f"{element.get('filename')}:{element.get('line')}"
        if element.tag == "Expression" and element.get("success") == "false":
            original = (element.findtext("Original") or "").strip()
            expanded = (element.findtext("Expanded") or "").strip()
            lines.append(f"{place}: {original}\n      with {expanded}")
            for thrown in element.findall("Exception"):
                lines.append(f"      threw {(thrown.text or '').strip()}")
        elif element.tag in ("Failure", "Exception", "FatalErrorCondition"):
            if element.get("filename"):
                lines.append(f"{place}: {(element.text or '').strip()}")
    return "\n".join(lines)


def read_catch(suite, path):
    for case in read_elements(suite, path, "TestCase"):
        result = case.find("OverallResult")
        if result is not None and result.get("success") == "true":
            suite.passed += 1
        else:
            suite.failures.append(
                (case.get("name"), describe_catch_failures(case))
            )


def read_suite(status_path):
    suite = Suite(status_path.stem)
    kind, code = status_path.read_text().split()
    read = {"junit": read_junit, "catch": read_catch}[kind]
    read(suite, status_path.with_suffix(".xml"))

    reason = None
    if int(code) in (124, 137):
        reason = "ran out of time"
    elif int(code) != 0 and not (suite.complete and suite.failures):
        reason = f"broke off with exit code {code}"
    elif not suite.passed + len(suite.failures) + suite.skipped:
        reason = "ran no test"
    if reason:
        suite.failures.append((f"(the suite itself {reason})", ""))
    return suite


def main():
    (folder,) = sys.argv[1:]
    suites = [read_suite(path) for path in sorted(Path(folder).glob("*.status"))]

    for suite in suites:
        for test, text in suite.failures:
            print(f"FAILED {suite.name}: {test}")
            for line in text.splitlines():
                print(f"    {line}")

    width = max([len(s.name) for s in suites] + [len("suite")])
    print(f"\n{'suite':{width}}  passed  failed  skipped")
    for s in suites:
        counts = f"{s.passed:6}  {len(s.failures):6}  {s.skipped:7}"
        print(f"{s.name:{width}}  {counts}")

    passed = sum(s.passed for s in suites)
    failed = sum(len(s.failures) for s in suites)
    skipped = sum(s.skipped for s in suites)
    if passed + failed == 0:
        print("\nno test ran: that is a failure")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
