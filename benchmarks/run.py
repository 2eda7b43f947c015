"""Runs the benchmarks that the definitions describe and writes what came out, as JSON and as a table.

    python -m benchmarks.run [NAME ...] [--rounds N] [--only CONTESTANT ...] [--quiet SECONDS] [--no-record]

Contestants take turns: a round runs each of them once, in an order that moves on by one a round, after one untimed
round that warms caches. Ratios are taken within a round, so that a machine that slows down slows both. A count of
findings that differs from the definition's is an error: a fast wrong answer is none.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import statistics
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import msgspec

from benchmarks import corpora, counts, measure

HERE = Path(__file__).resolve().parent
OURS = "keysentry"


class Contestant(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One command. `inside` means that it prints its own figures as JSON: `seconds` and what it counted."""

    name: str
    command: list[str]
    exit: tuple[int, ...] = (0,)
    count: str = ""
    expected: int | None = None
    inside: bool = False
    package: str = ""


class Definition(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A benchmark: what is read, by whom, and what the figures mean."""

    title: str
    corpus: str
    rounds: int = 7
    unit: str = "bytes"
    analysis: str
    contestant: list[Contestant]


class Result(msgspec.Struct):
    """What one contestant took, round by round."""

    name: str
    version: str
    runs: list[measure.Run] = []
    found: int | None = None
    peak_memory: int = 0

    def seconds(self) -> list[float]:
        """The time of each round: the contestant's own figure where it measures inside itself."""
        return [run.inside["seconds"] if run.inside else run.wall for run in self.runs]


def definition(name: str) -> Definition:
    """Read a definition. Raises `msgspec.ValidationError` for a field that is unknown or missing."""
    return msgspec.toml.decode((HERE / "definitions" / f"{name}.toml").read_bytes(), type=Definition)


def peers() -> Path:
    """The scripts folder of the virtual environment of the other scanners, made when it is not there or is old."""
    home = corpora.BENCH / "peers"
    wanted = (HERE / "peers.txt").read_bytes()
    stamp = home / "installed.txt"
    if not stamp.is_file() or stamp.read_bytes() != wanted:
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin/python", "-m", "pip", "install", "--quiet", "-r", HERE / "peers.txt"], check=True)
        stamp.write_bytes(wanted)
    return home / "bin"


def command_of(contestant: Contestant, corpus: Path, out: Path, scripts: Path) -> list[str]:
    """Fill the placeholders of a contestant's command."""
    values = {
        "bin": sysconfig.get_path("scripts"), "python": sys.executable, "peers": str(scripts), "corpus": str(corpus),
        "kingfisher": str(next(scripts.parent.glob("lib/*/site-packages/kingfisher/bin/kingfisher"), "")),
        "out": str(out), "here": str(HERE),
    }  # fmt: skip
    return [part.format_map(values) for part in contestant.command]


def version_of(contestant: Contestant, scripts: Path) -> str:
    """The installed version of a contestant's package, from the environment that it runs in."""
    if not contestant.package:
        return ""
    python = (
        str(scripts / "python")
        if any("{peers}" in part or "{kingfisher}" in part for part in contestant.command)
        else sys.executable
    )
    code = f"import importlib.metadata as m; print(m.version({contestant.package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def run_benchmark(name: str, options: argparse.Namespace) -> tuple[Definition, list[Result]]:
    """Build the corpus, warm up, run the rounds, count what was found."""
    plan = definition(name)
    corpus = corpora.build(plan.corpus)
    wanted = "".join(part for entry in plan.contestant for part in entry.command)
    scripts = peers() if "{peers}" in wanted or "{kingfisher}" in wanted else Path(sysconfig.get_path("scripts"))
    field = [entry for entry in plan.contestant if not options.only or entry.name in options.only]
    work = corpora.BENCH / "work"
    work.mkdir(parents=True, exist_ok=True)
    results = {entry.name: Result(entry.name, version_of(entry, scripts)) for entry in field}
    rounds = options.rounds or plan.rounds
    for number in range(rounds + 1):
        shift = number % len(field)
        for entry in field[shift:] + field[:shift]:
            out = work / f"{name}-{entry.name}.out"
            out.unlink(missing_ok=True)
            command = command_of(entry, corpus, out, scripts)
            if number:
                measure.wait_for_quiet(options.quiet)
            log = work / f"{name}-{entry.name}.log"
            one = measure.run(command, allowed=entry.exit, inside=entry.inside, log=log, cwd=work)
            if number:
                results[entry.name].runs.append(one)
                print(f"{name} {number}/{rounds} {entry.name}: {one.wall:.3f} s", file=sys.stderr)
            else:
                results[entry.name].found = found(entry, out, log)
    for entry in field:
        out, log = work / f"{name}-{entry.name}.out", work / f"{name}-{entry.name}.log"
        results[entry.name].peak_memory = measure.peak_memory(
            command_of(entry, corpus, out, scripts), log=log, cwd=work
        )
    return plan, list(results.values())


def found(entry: Contestant, out: Path, log: Path) -> int | None:
    """How many findings a contestant reported. Raises `Failed` where the definition expects another number."""
    if not entry.count:
        return None
    number = counts.COUNTS[entry.count](out if out.is_file() else log)
    if entry.expected is not None and number != entry.expected:
        raise measure.Failed(f"{entry.name} found {number}, and its definition expects {entry.expected}")
    return number


def table(plan: Definition, corpus: dict[str, object], results: list[Result]) -> str:
    """The results as a Markdown table; the ratio is that contestant's time over keysentry's, within a round."""
    total, size = corpus["bytes"], corpus[plan.unit] if plan.unit in corpus else _counted(results, plan.unit)
    assert isinstance(total, int)
    assert isinstance(size, int)
    per_second = "MB/s" if plan.unit == "bytes" else f"{plan.unit}/s"
    counted = "" if plan.unit == "bytes" else f", {size:,} {plan.unit}"
    lines = [
        f"{corpus['files']:,} files, {total / 1e6:,.1f} MB{counted}",
        "",
        f"| contestant | version | min | median | max | {per_second} "
        "| peak memory | found | × keysentry: min, median, max |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = next((result.seconds() for result in results if result.name == OURS), [])
    for result in results:
        took = result.seconds()
        middle = statistics.median(took)
        ratios = [theirs / own for theirs, own in zip(took, ours, strict=False)]
        ratio = ", ".join(f"{f(ratios):.2f}" for f in (min, statistics.median, max)) if ratios else ""
        lines.append(
            f"| {result.name} | {result.version} | {_time(min(took))} | {_time(middle)} | {_time(max(took))} "
            f"| {_rate(result, size, middle, plan.unit)} | {result.peak_memory / 1e6:,.0f} MB "
            f"| {'' if result.found is None else result.found} | {ratio} |"
        )
    return "\n".join([f"## {plan.title}", "", *lines, "", plan.analysis.strip(), ""])


def _counted(results: list[Result], unit: str) -> int:
    """How many of a unit the contestants counted themselves, where the corpus does not tell: each the same number."""
    found = {int(run.inside.get(unit, 0)) for result in results for run in result.runs if run.inside}
    if len(found) != 1:
        raise measure.Failed(f"the contestants read different numbers of {unit}: {sorted(found)}")
    return found.pop()


def _rate(result: Result, size: int, middle: float, unit: str) -> str:
    """Megabytes or other units a second, by the contestant's own account where it measures inside itself; texts a
    second there too.
    """
    inside = [run.inside for run in result.runs if run.inside]
    if inside and "texts_per_second" in inside[0]:
        texts = statistics.median(figures["texts_per_second"] for figures in inside)
        rate = statistics.median(figures["bytes_per_second"] for figures in inside)
        return f"{rate / 1e6:,.1f} ({texts:,.0f} texts/s)"
    return f"{size / (1e6 if unit == 'bytes' else 1) / middle:,.0f}" if size else ""


def _time(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds:.3f} s"


def record(name: str, plan: Definition, corpus: dict[str, object], results: list[Result]) -> Path:
    """Write the figures of one benchmark, raw, and the table beside them."""
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    path = HERE / "record" / f"{day}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    data = {
        "date": day,
        "machine": measure.machine() | {"python": sys.version.split()[0]},
        "corpus": corpus,
        "definition": msgspec.to_builtins(plan),
        "results": msgspec.to_builtins(results),
    }
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    machine = ", ".join(f"{key} {value}" for key, value in data["machine"].items())
    path.with_suffix(".md").write_text(f"{table(plan, corpus, results)}\n{day}: {machine}\n")
    return path


def main() -> int:
    """Run the benchmarks that were named, or all of them."""
    known = sorted(path.stem for path in (HERE / "definitions").glob("*.toml"))
    parser = argparse.ArgumentParser(description="Run benchmarks and record what they took.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones; all by default: {', '.join(known)}")
    parser.add_argument("--rounds", type=int, help="timed rounds, in place of the definition's number")
    parser.add_argument("--only", nargs="+", metavar="CONTESTANT", help="leave the others out")
    parser.add_argument(
        "--quiet", type=float, default=30, help="wait for a quiet machine before a run, at most so long"
    )
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    failures = 0
    for name in options.names or known:
        try:
            plan, results = run_benchmark(name, options)
        except measure.Failed as error:
            print(f"{name}: {error}", file=sys.stderr)
            failures += 1
            continue
        corpus = corpora.describe(plan.corpus)
        print(table(plan, corpus, results))
        if not options.no_record:
            print(f"recorded in {record(name, plan, corpus, results)}", file=sys.stderr)
    shutil.rmtree(corpora.BENCH / "work", ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
