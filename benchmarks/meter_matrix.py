"""Every set-up on every architecture, charged over profiled: ``python benchmarks/meter_matrix.py [architecture ...]``.

Writes ``benchmarks/results/meter_matrix.md`` where all architectures are run, else prints. Takes minutes on one core.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import transformers
from tests.model.setups import ANSWER, ARCHITECTURES, OPTIMIZERS, SETUPS, build, compare

from netgain.errors import InputError
from netgain.model.selfcheck import versions

RESULTS = Path(__file__).parent / "results" / "meter_matrix.md"


def cell(setup: str, architecture: str, optimizer: str) -> str:
    """Ratios of a training step and of ``generate``, or why there are none."""
    try:
        model = SETUPS[setup](build(architecture))
    except (ValueError, NotImplementedError, TypeError, KeyError) as problem:
        print(setup, architecture, "PEFT:", problem, flush=True)
        return "PEFT refuses"
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = compare(model, Path(folder), optimizer)
    except InputError as problem:
        print(setup, architecture, "refused:", problem, flush=True)
        return "refused"
    except Exception as problem:
        print(setup, architecture, "LIBRARY:", type(problem).__name__, problem, flush=True)
        return "fails without a meter too" if fails_alone(setup, architecture) else "FAILS"
    odd = [name for name in ("updates", "within the quote") if found[name] != 1]
    if odd:
        print(setup, architecture, found, flush=True)
    return f"{found['training']:.4f} {found['generate']:.4f}" + "".join(f" {name}: {found[name]}" for name in odd)


def fails_alone(setup: str, architecture: str) -> bool:
    """Whether the libraries themselves cannot run this set-up."""
    model, ids = SETUPS[setup](build(architecture)), torch.ones(2, 17, dtype=torch.long)
    try:
        model(input_ids=ids, labels=ids).loss.backward()
        model.eval().generate(input_ids=ids, attention_mask=torch.ones_like(ids), **ANSWER)
    except Exception:
        return True
    return False


def write(lines: list[str]) -> None:
    """The page, as far as it has come."""
    said = ", ".join(f"{name} {number}" for name, number in versions().items())
    text = [
        "# The meter against torch's profiler",
        "",
        f"{len(lines) - 2} of {len(SETUPS)} set-ups on {len(ARCHITECTURES)} architectures ({said}), by"
        " `benchmarks/meter_matrix.py`: FLOPs charged over FLOPs counted, of a training step and of `generate`. The"
        " optimizer's element-wise work, which the profiler does not see, is left out; one update is booked in each.",
        "",
        *lines,
        "",
    ]
    RESULTS.write_text("\n".join(text), encoding="utf-8")


def main() -> None:
    """Run and write."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    wanted = sys.argv[1:] or list(ARCHITECTURES)
    lines = [f"| set-up | optimizer | {' | '.join(wanted)} |", f"|---|---|{'---|' * len(wanted)}"]
    began = time.perf_counter()
    for number, setup in enumerate(SETUPS):
        optimizer = list(OPTIMIZERS)[number % len(OPTIMIZERS)]
        cells = [cell(setup, architecture, optimizer) for architecture in wanted]
        lines.append(f"| {setup} | {optimizer} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        if wanted == list(ARCHITECTURES):
            write(lines)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
