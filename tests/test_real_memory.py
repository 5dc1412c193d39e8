"""What a worker holds with a real model, measured in a process of its own against what a plan says of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netgain.metering.estimate import Load, Memory, peak_memory, shape_of
from netgain.metering.price import Lora

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(900)]
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTERS, LENGTH, ASKED, PROMPT, NEW = 16, 32, 20, 40, 4
WORK = f"""
import sys, json
from netgain import Book, Purpose
from netgain.engine.jobs import InnerLoopJob
from netgain.model import Generate, Merge, Train, load_model
from netgain.model.device import DeviceMeter
model, meter, found = load_model(sys.argv[1], device="cpu"), DeviceMeter("cpu"), {{}}
tokens = model.tokenize("The quick brown fox jumps over the lazy dog. " * 20)
with Book.open(sys.argv[2]) as book:
    account = book.account("memory", purpose=Purpose.ADAPT)

    def trained(model, count):
        how = dict(sequences=[tokens[:{LENGTH}]], epochs=1, learning_rate=1e-3, rank=32, target_modules={SEVEN!r})
        jobs = [InnerLoopJob(key=str(seed), seed=seed, **how) for seed in range(count)]
        return [one.get().adapter for one in model.train([Train(account=account, job=job) for job in jobs])]

    meter.peak(reset=True)
    adapters = trained(model, {ADAPTERS})
    found["training"] = meter.peak(reset=True)
    text = model.decode(tokens[:{PROMPT - 3}])
    asked = [Generate(account=account, prompt=f"{{n}}. {{text}}", max_new_tokens={NEW}, adapter=adapters[n // 4])
             for n in range({ASKED})]
    model.generate(asked)
    found["answering"] = meter.peak(reset=True)
    (other,) = [one.get() for one in model.merge([Merge(account=account, adapter=adapters[0])])]
    del adapters[1:], asked
    trained(other, 2)
    found["training a copy"] = meter.peak(reset=True)
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system has no peak that can be reset")
def test_smollm2_holds_what_is_planned_within_a_fifth(smollm2: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, str(smollm2), str(tmp_path / "journal")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    held = json.loads(done.stdout.splitlines()[-1])
    shape, lora = shape_of(smollm2), Lora(32, SEVEN)
    memory = Memory.guessed(shape, weight_bytes=4)
    training = Load(jobs=ADAPTERS, length=LENGTH, asked=0, prompt=0, new=0, adapters=ADAPTERS)
    exam = Load(jobs=0, length=0, asked=ASKED, prompt=PROMPT, new=NEW, adapters=ADAPTERS, per_adapter=4)
    copy = Load(jobs=2, length=LENGTH, asked=0, prompt=0, new=0, adapters=3, copies=1)
    for name, load in (("training", training), ("answering", exam), ("training a copy", copy)):
        assert peak_memory(memory, shape, lora, load) == pytest.approx(held[name], rel=0.2), name
