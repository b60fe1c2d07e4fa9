"""What several runs of the tests skipped, and why, in one table.

python -m tests.skips RUN.xml ...
"""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

type Test = tuple[str, str]  # its module, its name; a module that was skipped whole has no name


def skipped(file: Path) -> dict[Test, str]:
    """The tests that a run skipped, and its reasons."""
    found = {}
    for case in ET.parse(file).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            module, name = case.get("classname", ""), case.get("name", "")
            found[(module, name) if module else (name, "")] = skip.get("message", "")
    return found


def ran(file: Path) -> set[Test]:
    """The tests that a run came to an end with, well or not."""
    return {
        (case.get("classname", ""), case.get("name", ""))
        for case in ET.parse(file).iter("testcase")
        if case.find("skipped") is None
    }


def counts(file: Path) -> str:
    """A run in a line."""
    suite = next(ET.parse(file).iter("testsuite"))
    tests, bad, left_out = (int(suite.get(n, 0)) for n in ("tests", "failures", "skipped"))
    bad += int(suite.get("errors", 0))
    return f"{tests - bad - left_out} passed, {bad} failed, {left_out} skipped"


def table(files: Iterable[Path]) -> str:
    """A line a reason, of the tests that no run ran."""
    files = list(files)
    done = set().union(*map(ran, files))
    whole = {module for module, _ in done}
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seen: set[Test] = set()
    for file in files:
        for test, reason in skipped(file).items():
            module, name = test
            if test not in seen | done and (name or module not in whole):
                seen.add(test)
                reasons[reason][module.removeprefix("tests.")] += 1
    rows = [("tests", "skipped because", "in")]
    for reason, modules in sorted(reasons.items(), key=lambda row: -row[1].total()):
        where = ", ".join(re.sub(r"^.*\.", "", module) for module in modules)
        rows.append((str(modules.total()), reason, where))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{n:>{widths[0]}}  {why:<{widths[1]}}  {at}" for n, why, at in rows)


if __name__ == "__main__":
    runs = [Path(name) for name in sys.argv[1:]]
    for run in runs:
        print(f"{run.stem}: {counts(run)}")
    print(table(runs))
