"""`keysentry scan`, with the real scanner."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keysentry.cli import main
from keysentry.report import FORMATS


@pytest.fixture
def scan(own, capsys):
    """Run a scan: (exit code, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["scan", *own, *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@contextmanager
def _spawn(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    # Python hears Ctrl-C only where its parent does not ignore it, as a shell does for what it runs in the background.
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from keysentry.cli import run; run()"
    )
    command = [sys.executable, "-c", heard, "scan", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_table(scan, folder, key):
    code, out, _ = scan(folder)
    assert code == 1
    assert "app.py" in out and "notes.txt" in out
    assert "3:10  high" in out
    assert "2 findings: 1 high, 1 low · 3 files" in out
    assert key(1) not in out


def test_nothing_found(scan, folder):
    code, out, _ = scan(folder / "README")
    assert code == 0
    assert out.startswith("no findings · 1 file, ")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(name, scan, folder):
    code, out, err = scan(folder, "--format", name)
    assert code == 1
    if name == "table":
        assert "2 findings" in out
        return
    assert "2 findings" in err, "the summary goes to standard error"
    found = {
        "jsonl": lambda: [json.loads(line) for line in out.splitlines()],
        "json": lambda: json.loads(out)["findings"],
        "sarif": lambda: json.loads(out)["runs"][0]["results"],
        "csv": lambda: list(csv.reader(io.StringIO(out)))[1:],
    }[name]()
    assert len(found) == 2


def test_output_file(scan, folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "report.json"
    code, out, err = scan(folder, "--format", "json", "-o", target)
    assert (code, out) == (1, "")
    assert len(json.loads(target.read_text())["findings"]) == 2
    assert "2 findings" in err


def test_output_that_cannot_be_written(scan, folder):
    code, _, err = scan(folder, "-o", folder / "none" / "report.txt")
    assert code == 2
    assert "report.txt: No such file or directory" in err


def test_show_secrets(scan, folder, key):
    code, out, _ = scan(folder, "--format", "jsonl", "--show-secrets")
    assert code == 1
    assert {json.loads(line)["secret"] for line in out.splitlines()} == {key(1), key(2, "acnote")}


def test_severity(scan, folder):
    code, out, err = scan(folder, "--severity", "high")
    assert code == 1
    assert "1 finding: 1 high" in out and "notes.txt" not in out
    assert "1 finding below severity high not reported" in err
    code, _, _ = scan(folder / "notes.txt", "--severity", "high")
    assert code == 0


def test_min_confidence(scan, folder):
    code, out, _ = scan(folder, "--min-confidence", "1")
    assert code == 0
    assert "below the confidence threshold" in out


def test_exclude(scan, folder):
    _, out, _ = scan(folder, "--exclude", "src/*", "--exclude", "*.txt")
    assert out.startswith("no findings · 1 file,")


def test_gitignore(scan, folder):
    (folder / ".gitignore").write_text("notes.txt\n")
    assert "notes.txt" in scan(folder)[1]
    assert "notes.txt" not in scan(folder, "--gitignore")[1]


def test_max_size_tells_what_it_left_out(scan, folder, key):
    (folder / "large.txt").write_text("x" * 5000 + f" {key(9)}\n")
    code, out, _ = scan(folder, "--max-size", "1kB", "--severity", "high")
    assert code == 1
    assert "Not read, or not to the end: 1" in out and "large.txt" in out


def test_incomplete(scan, folder):
    code, _, _ = scan(folder / "README", "--max-size", "5", "--fail-on-incomplete")
    assert code == 3
    assert scan(folder / "README", "--max-size", "5")[0] == 0
    assert scan(folder, "--max-size", "5", "--exit-code", "0", "--fail-on-incomplete")[0] == 3


def test_exit_code(scan, folder):
    assert scan(folder, "--exit-code", "7")[0] == 7
    assert scan(folder, "--exit-code", "0")[0] == 0


def test_allow_comments(scan, tmp_path, key):
    (tmp_path / "app.py").write_text(f'TOKEN = "{key(1)}"  # keysentry:allow\n')
    code, out, _ = scan(tmp_path)
    assert code == 0
    assert "1 allowed by a comment" in out
    assert scan(tmp_path, "--no-allow-comments")[0] == 1


@pytest.mark.parametrize("engine", ["vectorscan", "ahocorasick"])
def test_engines_and_jobs_find_the_same(engine, scan, folder):
    code, out, _ = scan(folder, "--engine", engine, "--jobs", "3", "--no-cache", "--format", "jsonl", "--no-progress")
    assert code == 1
    assert [json.loads(line)["rule"] for line in out.splitlines()] == ["acme.note", "acme.key"]


def test_no_rules_left(folder, capsys):
    assert main(["scan", str(folder), "--pack", "none"]) == 2
    assert "name rule files with --rules" in capsys.readouterr().err


def test_faulty_rules_are_all_told(folder, tmp_path, capsys):
    rules = tmp_path / "rules.toml"
    rules.write_text("[provider\n")
    assert main(["scan", str(folder), "--rules", str(rules)]) == 2
    told = capsys.readouterr()
    assert "rules.toml" in told.err and "Traceback" not in told.err and told.out == ""


def test_baseline(scan, folder, key, tmp_path_factory):
    baseline = tmp_path_factory.mktemp("base") / "known.json"
    code, _, err = scan(folder, "--write-baseline", baseline)
    assert code == 0
    assert "2 known secrets written" in err
    code, out, _ = scan(folder, "--baseline", baseline)
    assert code == 0
    assert "2 known from the baseline" in out
    (folder / "src" / "app.py").write_text(f'\n\nTOKEN = "{key(3)}"\n')
    code, out, err = scan(folder, "--baseline", baseline)
    assert code == 1
    assert "1 finding: 1 high" in out
    assert "1 known finding not seen in this scan" in err and "src/app.py" in err


def test_a_baseline_file_does_not_set_off_a_scan(scan, folder):
    scan(folder, "--write-baseline", folder / "known.json")
    scan(folder, "--format", "sarif", "-o", folder / "report.sarif")
    _, out, _ = scan(folder, "--baseline", folder / "known.json")
    assert "no findings" in out


def test_a_baseline_of_another_key_is_refused(scan, own, folder, tmp_path_factory):
    baseline = tmp_path_factory.mktemp("base") / "known.json"
    scan(folder, "--write-baseline", baseline)
    environment = os.environ | {"KEYSENTRY_KEY": "quite another key than that"}
    with _spawn(*own, folder, "--baseline", baseline, env=environment) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "KEYSENTRY_KEY" in err and "Traceback" not in err


def test_sarif_says_new_with_a_baseline(scan, folder, tmp_path_factory):
    baseline = tmp_path_factory.mktemp("base") / "known.json"
    scan(folder / "notes.txt", "--write-baseline", baseline)
    _, out, _ = scan(folder, "--baseline", baseline, "--format", "sarif")
    results = json.loads(out)["runs"][0]["results"]
    assert [(result["ruleId"], result["baselineState"]) for result in results] == [("acme.key", "new")]


def test_standard_input(own, key):
    with _spawn(*own, "-", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(f"token {key(1)}\n", timeout=60)
    assert process.returncode == 1
    assert out.startswith("standard input\n") and "1 finding: 1 high" in out
    assert err == "" or "compiling" in err


def test_head_ends_a_scan_quietly(own, tmp_path, key):
    (tmp_path / "many.txt").write_text("".join(f"{key(number)}\n" for number in range(3000)))
    with _spawn(*own, tmp_path, "--format", "jsonl", "--no-progress") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith('{"rule"')
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(timeout=60) == 141
    assert "Traceback" not in told and "BrokenPipe" not in told


def test_interrupt_reports_what_was_found(own, folder, key):
    with _spawn(*own, folder / "notes.txt", "-", "--format", "jsonl", stdin=subprocess.PIPE) as process:
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted" in err
    assert all(json.loads(line) for line in out.splitlines())


def test_nothing_unneeded_is_imported(own, tmp_path):
    """A scan of an empty file pays for no terminal library and no format that it does not write."""
    (tmp_path / "empty").write_bytes(b"")
    script = "import sys; from keysentry.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", script, "scan", *own, str(tmp_path / "empty")]
    subprocess.run(command, capture_output=True, check=True)
    imported = set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())
    assert "keysentry.report.table" in imported
    unneeded = {"rich", "csv", "typer", "shutil", "zipfile", "tarfile", "importlib.metadata", "difflib", "logging"}
    assert not imported & unneeded
