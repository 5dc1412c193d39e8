"""Hostile input of every kind that netgain reads, made by a generator: sound inputs, each spoiled at one place or two.

``scripts/fuzz N`` tries so many; ``tests/test_generated_input.py`` a few. What must come of each: a right result (exit
code 0), one line on stderr (2), or that a record does not hold (1); never a traceback, a hang, or a file elsewhere.
"""

import contextlib
import io
import json
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from netgain.cli import main
from netgain.errors import NetgainError, one_line
from tests.audit.runs.spoiling import NASTY, spoiled, spoiled_bytes, spoiled_value

PATIENCE = 30  # seconds of one case, after which it hangs
RAW = {  # what JSON and YAML can say and Python's writers do not
    "@huge": "1e400",
    "@digits": "9" * 5000,
    "@hex": "0x" + "f" * 4000,
    "@deep": "[" * 20_000,
    "@maps": '{"a":' * 3000 + "1" + "}" * 3000,
    "@alias": "*nobody",
}
EVIL: list[Any] = [
    *NASTY,
    *RAW,
    *("n" * 300, "a\0b", "\x1b[2J", "../../x", "/etc/passwd", "\udfff", "\u202e", "x" * 100_000, "-", "*", "%s", "{0}"),
    *(10**12, -(10**12), 10**19, 1e-320, [0] * 1000, [[[[[]]]]], {"": ""}, {"a": {"a": {"a": {}}}}),
]
SPEC = """\
name: mine
question: does it?
domains: {people: {kind: people, style: plain}}
problems: {train: 8, development: 4, test: 12}
seeds: 2
budget: {per_problem: 8.0e+9, ladder: [0.5, 1], curve: {deployments: [100], arms: [seal]}}
tuning: {trials: 2, knobs: {rank: [4, 8]}}
arms:
  frozen: {method: frozen}
  passage: {method: finetune, rank: 8, learning_rate: 1.0e-3, tune: {rank: [2, 4]}, label: a passage}
  own: {method: synthetic, edits: 2}
  seal: {method: seal, rounds: 1, preset: seal-v1}
compare: {arm: seal, against: passage, exam: knowledge}
exam: {controls: 2, drift: 2, stream: 2}
"""
CARD = """\
title: A claim
paper: arXiv 0000.00000
headline: ours
rival: tuned
frozen: base
reported: {FLOPs: true}
arms:
  base: {role: frozen, accuracy: 0.3, n_questions: 100, n_problems: 10}
  tuned: {role: passage, accuracy: 40.0%, n_questions: 100, seeds: 3, tokens: 1000, trained: lora}
  ours:
    role: self_improving
    accuracy: 0.5
    n_questions: 100
    updates: 30
    source: {where: table 2, sure: data}
    outer_loop: {rounds: 2, contexts: 50, samples: 5, repeats: 3, updates_per_inner_loop: 87}
"""
PEOPLE = [
    {"title": f"Town {n}", "text": f"The town number {n} lies by the river r{n}. It is old."}
    | {"questions": [{"question": f"By which river lies town {n}?", "answers": [f"r{n}"]}]}
    for n in range(40)
]
PASSAGES = SPEC.replace("{kind: people, style: plain}", "{kind: passages, path: data.jsonl}")


@dataclass(frozen=True)
class Kind:
    """``make`` writes a sound input into a folder; ``ways`` are the commands that read it, or calls of their own."""

    make: Callable[[Path], object]
    ways: Callable[[Path], Sequence[Sequence[str] | Callable[[], object]]]
    files: str = "*"


def _write(name: str, text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return make


def _claim(folder: Path) -> None:
    _write("card.yaml", CARD)(folder)
    run_one(["audit", str(folder / "card.yaml"), "-q", "--save-claim", str(folder / "claim.json")], folder)
    (folder / "card.yaml").unlink()


def _records(folder: Path) -> None:
    from tests.trials import world

    world.run(folder, world.spec(problems={"train": 2, "development": 1, "test": 2}, seeds=1))
    run_one(["report", str(folder), "-q"], folder)


def _seal(folder: Path) -> None:
    from tests.conftest import invented

    made: Any = getattr(invented, "__wrapped__", None) or invented.__pytest_wrapped__.obj
    for name, data in made().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    (folder / "train").mkdir(exist_ok=True)
    (folder / "train" / "set.jsonl.meta").write_text('{"model": "x",\n"n": 3,\n}', encoding="utf-8")


def _reader(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from tests.audit.runs import test_comparison_readers as comparison
        from tests.audit.runs import test_evaluation_readers as evaluation
        from tests.audit.runs import test_tracker_readers as tracker
        from tests.audit.runs import test_trainer_reader as trainer

        homes = (comparison, evaluation, tracker, trainer)
        if name == "lm_eval":
            for model in "ab":
                evaluation.lm_eval(folder / model, model, "1101")
            return
        made = trainer.write if name == "trainer" else next(vars(m)[name] for m in homes if name in vars(m))
        made(folder)

    return make


def _model(folder: Path) -> None:
    from tests.model.conftest import save_model

    save_model(folder, num_hidden_layers=1)


def _loaded(folder: Path) -> None:
    from netgain.model import load_model

    load_model(folder, device="cpu")


def _plans(folder: Path) -> list[list[str]]:
    file = str(folder / "trial.yaml")
    return [["plan", file, "--device", "H100"], ["validate", file]]


def _audits(folder: Path) -> list[list[str]]:
    return [["audit", str(folder), "--html", str(folder.parent / "page.html")]]


def _audits_file(name: str) -> Callable[[Path], list[list[str]]]:
    return lambda folder: [["audit", str(folder / name), "--html", str(folder.parent / "page.html")]]


def _both(folder: Path) -> None:
    _write("trial.yaml", PASSAGES)(folder)
    (folder / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in PEOPLE), encoding="utf-8")


def _readings(folder: Path) -> list[list[str]]:
    page = str(folder.parent / "out.csv")
    return [
        ["verify", str(folder)],
        ["status", str(folder)],
        ["report", str(folder)],
        ["export", str(folder), "--out", page],
    ]


def _again(folder: Path) -> None:
    from netgain.trials.reproduction import Reproduction
    from tests.trials import world

    reproduction = Reproduction(folder, folder, lambda line: None)
    reproduction.begin(folder / "again", "cpu")
    reproduction.compare(folder)
    reproduction.trial(find_method=world.find_method, find_domain=world.find_domain)


READERS = (
    *("mapped", "peft", "algoperf", "rasbt", "lm_eval", "every_eval", "tensorboard", "wandb", "trackio"),
    *("mlflow_database", "mlflow_folder", "llama_factory", "trainer"),
)
KINDS: dict[str, Kind] = {
    "spec": Kind(_write("trial.yaml", SPEC), _plans),
    "data": Kind(_both, lambda folder: [["validate", str(folder / "trial.yaml")]], "data.jsonl"),
    "card": Kind(_write("card.yaml", CARD), _audits_file("card.yaml")),
    "claim": Kind(_claim, _audits_file("claim.json")),
    "records": Kind(_records, _readings),
    "again": Kind(_records, lambda folder: [lambda: _again(folder)], "[s-v]*.[jy]*"),
    "seal": Kind(_seal, _audits),
    **{f"reader-{name}": Kind(_reader(name), _audits) for name in READERS},
    "model": Kind(_model, lambda folder: [lambda: _loaded(folder)]),
}


# -- spoiling


def spoil(folder: Path, rng: random.Random, pattern: str = "*") -> str:
    """Spoil a file or two below a folder; what was done, in words."""
    files = [path for path in sorted(folder.rglob(pattern)) if path.is_file()]
    done = []
    for path in rng.sample(files, min(len(files), rng.choice([1, 1, 1, 2]))):
        way = rng.choice(["values", "values", "values", "values", "bytes", "usual", "file"])
        done.append(f"{path.relative_to(folder)}: {way}")
        if way == "file":
            path.unlink()
            other = rng.choice(["gone", "folder", "loop", "dangling"])
            if other == "folder":
                path.mkdir()
            elif other != "gone":
                path.symlink_to(path if other == "loop" else folder / "nowhere")
        elif way == "usual":
            path.write_bytes(spoiled(path, rng))
        else:
            path.write_bytes(_spoiled_text(path, rng) if way == "values" else spoiled_bytes(path.read_bytes(), rng))
    return "; ".join(done)


def _spoiled_text(path: Path, rng: random.Random) -> bytes:
    """By its values, among them what no writer would write; by its bytes where it is neither JSON nor YAML."""
    data = path.read_bytes()
    if path.suffix == ".safetensors":
        return _spoiled_header(data, rng)
    try:
        text = data.decode()
        if path.suffix in (".yaml", ".yml"):
            return _raw(yaml.safe_dump(_evil(yaml.safe_load(text), rng), allow_unicode=True, sort_keys=False))
        if path.suffix in (".jsonl", ".meta") or "\n{" in text.strip():
            lines = text.splitlines()
            at = rng.randrange(len(lines))
            lines[at] = json.dumps(_evil(json.loads(lines[at]), rng))
            return _raw("\n".join(lines))
        return _raw(json.dumps(_evil(json.loads(text), rng)))
    except (ValueError, IndexError, yaml.YAMLError):
        return spoiled_bytes(data, rng)


def _evil(data: Any, rng: random.Random) -> Any:
    marked = spoiled_value(data, random.Random(rng.random()))  # noqa: S311
    if rng.random() < 0.5:
        return marked
    places = [*_leaves(data)]
    if not places:
        return marked
    inside, key = rng.choice(places)
    inside[key] = rng.choice(EVIL)
    return data


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in [*inner]:
        yield value, key
        yield from _leaves(part)


def _raw(text: str) -> bytes:
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw).replace(f"'{mark}'", raw).replace(f": {mark}\n", f": {raw}\n")
    return text.encode("utf-8", "surrogatepass")


def _spoiled_header(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return rng.choice([0, 1, 2**63 - 1, len(data), 2**40]).to_bytes(8, "little") + data[8:]
    end = 8 + int.from_bytes(data[:8], "little")
    header = _raw(json.dumps(_evil(json.loads(data[8:end]), rng)))
    return len(header).to_bytes(8, "little") + header + data[end:]


# -- running


@dataclass
class Tally:
    """How many cases ended how, the longest one, and those that must not be."""

    ended: Counter[str] = field(default_factory=Counter)
    longest: tuple[float, str] = (0.0, "")
    faults: list[str] = field(default_factory=list)


class Hang(BaseException):
    """A case took too long."""


def run_one(way: Sequence[str] | Callable[[], object], folder: Path) -> tuple[int | str, str]:
    """The exit code, or ``traceback`` or ``hang``, and what was said on stderr."""
    out, err = io.StringIO(), io.StringIO()

    def hang(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(folder.parent):
            if callable(way):
                way()
                return 0, ""
            main([*way])
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else 1), err.getvalue()
    except NetgainError as error:
        return error.exit_code, f"netgain: {error}\n"
    except Hang:
        return "hang", traceback.format_exc()
    except KeyboardInterrupt:
        raise
    except BaseException:
        return "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return 0, err.getvalue()


def fault(code: int | str, said: str, *, several: bool = False) -> str:
    """What is wrong with how a case ended; empty where nothing is. ``several`` mistakes may be told, a line each."""
    if code not in (0, 1, 2):
        return f"{code}: {said[-1500:]}"
    if "please report it" in said:
        return f"a reader failed: {said}"
    lines = said.splitlines() if several else [said.strip()]
    if code == 2 and not (lines and all(one.startswith("netgain: ") and one_line(one) == one for one in lines)):
        return f"more than one printable line: {said[:500]!r}"
    return ""


def try_case(kind: str, rng: random.Random, base: Path, work: Path, tally: Tally) -> None:
    """Spoil a copy of the sound input of this kind, and read it in every way."""
    made = KINDS[kind]
    if not base.is_dir():
        base.parent.mkdir(parents=True, exist_ok=True)
        made.make(base)
    folder = work / "case"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, folder)
    there = {path.name for path in base.parent.iterdir()}
    done = spoil(folder, rng, made.files)
    for way in made.ways(folder):
        name = f"{kind} ({done}) {way[0] if not callable(way) else 'load_model'}"
        started = time.process_time()
        code, said = run_one(way, folder)
        tally.longest = max(tally.longest, (time.process_time() - started, name))
        tally.ended[f"rc {code}" if isinstance(code, int) else code] += 1
        if wrong := fault(code, said, several=not callable(way) and way[0] == "validate"):
            tally.faults.append(f"{name}\n  {wrong}")
    assert {path.name for path in base.parent.iterdir()} == there
    strange = {path.name for path in work.iterdir()} - {"case", "page.html", "out.csv"}
    if strange:
        tally.faults.append(f"{kind} ({done}): wrote {sorted(strange)}")


def fuzz(count: int, seed: int, home: Path, kinds: Sequence[str] = ()) -> Tally:
    """So many cases, of all kinds in turn; models are one in fifteen, for they take longest."""
    tally, names = Tally(), list(kinds or KINDS)
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")  # noqa: S311
        kind = names[number % len(names)]
        before = len(tally.faults)
        try_case(kind, rng, home / "base" / kind, home / "work", tally)
        for one in tally.faults[before:]:
            print(f"{seed}/{number} {one}", flush=True)
    return tally


if __name__ == "__main__":
    import tempfile

    wanted, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as place:
        found = fuzz(wanted, first, Path(place), sys.argv[3:])
    print(f"{wanted} cases, {found.ended.total()} readings: {dict(sorted(found.ended.items()))}")
    print(f"longest: {found.longest[0]:.1f} s of CPU, {found.longest[1]}")
    print(f"faults: {len(found.faults)}")
    sys.exit(1 if found.faults else 0)
