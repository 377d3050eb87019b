"""Measure one question after another: print, compare with the targets, and write.

The results are written to benchmarks/results, the tables into docs/benchmarks.md
and the pictures beside it.
"""

import argparse
import importlib
import json
import subprocess
import sys

from benchmarks.common import ROOT, machine, write

QUESTIONS = ("loop", "recipe", "peers", "checkpoint", "data", "processes", "panels")
PAGE = ROOT / "docs" / "benchmarks.md"


def main():
    """Answer one question here, or each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("question", nargs="?", choices=QUESTIONS)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="see in two minutes that all runs, but for the panels; write nothing",
    )
    options = parser.parse_args()
    if options.question:
        answer(options.question, options.quick)
        return
    failed = []
    for question in QUESTIONS[: -1 if options.quick else None]:
        command = [sys.executable, "-m", "benchmarks", question]
        command += ["--quick"] if options.quick else []
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(question)
    if failed:
        sys.exit(f"Failed, as said above: {', '.join(failed)}.")


def answer(question, quick):
    """Measure, print and write; fail where a target is missed."""
    print(f"\n{question}: {machine()}", flush=True)
    module = importlib.import_module(f"benchmarks.{question}")
    found = module.measure(quick)
    # As it will be read again: the keys of JSON are text.
    found = json.loads(json.dumps({"machine": machine()} | found))
    text, missed = module.report(found)
    print(f"\n{text}\n", flush=True)
    if quick:
        return
    results = ROOT / "benchmarks" / "results" / f"{question}.json"
    write(results, f"{json.dumps(found, indent=1)}\n".encode())
    put_on_page(question, f"{found['machine']}\n\n{text}")
    if hasattr(module, "draw"):
        module.draw(found)
    if missed:
        sys.exit(f"{question} misses a target: {'; '.join(missed)}.")


def put_on_page(question, text):
    """Replace what stands between the two marks of a question."""
    begin, end = (f"<!-- {word} {question} -->" for word in ("begin", "end"))
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    write(PAGE, f"{before}{begin}\n{text}\n{end}{after}".encode())


if __name__ == "__main__":
    main()
