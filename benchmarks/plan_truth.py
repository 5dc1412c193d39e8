"""Plan against what a run took: small trials, their hours, memory and FLOPs side by side.

    python benchmarks/plan_truth.py [--model FOLDER] [--notes FOLDER] [--squad FILE] [--only NAME ...] [--jobs N]

Without a model the shipped ones run. Each trial takes a minute or two on one core. Time is in processor seconds of all
processes, planned and taken, which other work on the machine disturbs least; memory is the sum of all processes'
resident pages at its highest, read twice a second. Writes ``benchmarks/results/plan_truth.md``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from netgain.trials.kept import KeptRun

OUT = Path(__file__).parent / "results" / "plan_truth.md"
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TICKS = os.sysconf("SC_CLK_TCK")


def trials(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The five, as fields of a trial."""
    arms = {
        "frozen": {"method": "frozen"},
        "in-context": {"method": "in-context"},
        "passage": {"method": "finetune", "target_modules": SEVEN},
        "own": {"method": "synthetic", "format": "self-qa", "edits": 2, "target_modules": SEVEN},
    }
    seal = {
        "method": "seal",
        **{"format": "self-qa", "rounds": 1, "candidates": 3, "repeats": 1, "reward_epochs": 5, "split": 0.25},
        **{"outer_epochs": 2, "outer_batch": 4, "target_modules": SEVEN},
    }
    common = {
        "problems": {"train": 12, "development": 3, "test": 12},
        "seeds": 2,
        "budget": {"per_problem": 8.0e9, "ladder": [1], "deployments": 100},
        "tuning": {"trials": 3, "widen": 1, "knobs": {"learning_rate": [1e-3, 2e-3]}},
        "arms": arms,
        "compare": {"arm": "own", "against": "passage"},
        "exam": {"controls": 2, "drift": 1, "at": [1]},
    }
    narrative = {"narrative": {"kind": "people", "style": "narrative"}}
    text = {
        **common,
        "model": options.model,
        "problems": {"train": 1, "development": 1, "test": 3},
        "seeds": 1,
        "budget": {"per_problem": 2.0e11, "ladder": [1]},
        "tuning": {"trials": 0},
        "arms": {name: arms[name] for name in ("frozen", "passage")},
        "compare": {"arm": "passage", "against": "frozen"},
    }
    with_seal = {"arms": {**arms, "seal": seal}, "compare": {"arm": "seal", "against": "own"}}
    found = {
        "demo-small": {**common, "model": "shipped", "domains": narrative},
        "faithful": {**common, "model": "shipped-faithful", "domains": {"plain": {"kind": "people", "style": "plain"}}},
        "seal": {**common, **with_seal, "model": "shipped", "domains": narrative},
        "notes": {**text, "domains": {"notes": {"kind": "passages", "path": options.notes}}},
        "squad": {**text, "domains": {"squad": {"kind": "squad", "path": options.squad}}},
    }
    able = {"notes": options.model and options.notes, "squad": options.model and options.squad}
    return {name: {"name": name, **fields} for name, fields in found.items() if able.get(name, True)}


def tree(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def watched(command: list[str]) -> tuple[float, float, float]:
    """Processor seconds, wall seconds, and the most resident bytes of a command's processes. Raises where it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    started, peak, used = time.monotonic(), 0.0, dict[int, float]()
    while process.poll() is None:
        held = 0.0
        for one in tree(process.pid):
            try:
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            held += 4096.0 * int(fields[21])
            used[one] = (int(fields[11]) + int(fields[12])) / TICKS
        peak = max(peak, held)
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return sum(used.values()), time.monotonic() - started, peak


def compared(fields: dict[str, Any], folder: Path, jobs: int) -> dict[str, Any]:
    """Planned and taken."""
    file = folder / f"{fields['name']}.yaml"
    file.write_text(json.dumps(fields))  # JSON is YAML
    command = [sys.executable, "-m", "netgain"]
    asked = ["plan", str(file), "--json", "--jobs", str(jobs)]
    plan = json.loads(subprocess.run([*command, *asked], capture_output=True, text=True, check=True).stdout)
    out = folder / fields["name"]
    processor, wall, peak = watched([*command, "run", str(file), "--out", str(out), "--jobs", str(jobs), "-q"])
    results = KeptRun(out).results.values()
    flops = sum(part["flops"] for result in results for part in result["spent"].values())
    return {
        "name": fields["name"],
        "planned_seconds": plan["estimated_total"]["seconds"],
        "planned_hours": plan["hours"],
        "processor": processor,
        "device": sum(result["seconds"] for result in results),
        "wall": wall,
        "planned_memory": plan["memory"],
        "memory": peak,
        "planned_flops": plan["estimated_total"]["flops"],
        "most_flops": plan["most_flops"],
        "flops": flops,
        "machine": plan["device"],
    }


def table(rows: list[dict[str, Any]], jobs: int) -> str:
    """As Markdown."""
    lines = [
        "# Plan against what a run took",
        "",
        f"`benchmarks/plan_truth.py`, {jobs} worker(s), {rows[0]['machine']}. Seconds are processor seconds of all",
        "processes, loading included; the ratio is planned / taken.",
        "",
        "| trial | s planned | s taken | ratio | GB planned | GB taken | ratio "
        "| TFLOPs planned (at most) | taken | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds, memory = row["planned_hours"] * 3600 * jobs, row["planned_memory"]
        cells = [
            *(row["name"], f"{seconds:.0f}", f"{row['processor']:.0f}", f"{seconds / row['processor']:.2f}"),
            *(f"{memory / 1e9:.2f}", f"{row['memory'] / 1e9:.2f}", f"{memory / row['memory']:.2f}"),
            f"{row['planned_flops'] / 1e12:.3g} ({row['most_flops'] / 1e12:.3g})",
            *(f"{row['flops'] / 1e12:.3g}", f"{row['planned_flops'] / row['flops']:.2f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run them and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a folder with a real model, for notes and squad")
    parser.add_argument("--notes", help="a folder of passages")
    parser.add_argument("--squad", help="a SQuAD file")
    parser.add_argument("--only", nargs="*", help="trials by name")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, fields in trials(options).items():
            if not options.only or name in options.only:
                rows.append(compared(fields, Path(folder), options.jobs))
                print(json.dumps(rows[-1]), flush=True)
                OUT.write_text(table(rows, options.jobs))


if __name__ == "__main__":
    main()
