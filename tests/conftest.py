"""Fixtures: the authors' published files where they are at hand, and a small tree of the same shape made here."""

import importlib.util
import json
import os
import random
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# CI tries the same examples every time, so that a red run is about the change; a person's runs look for new ones.
settings.register_profile("netgain", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("netgain")

# No test reaches for a model hub: where there is no network, each look-up there would be tried for half a minute.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Programs that were started in the background ignore Ctrl-C, and so do those that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "seal-published"


@pytest.fixture(scope="session")
def published() -> Path:
    """The real published results; a test that needs them is skipped where they are absent."""
    if not PUBLISHED.is_dir():
        pytest.skip(f"needs the published SEAL results in {PUBLISHED.name}/, which the project does not ship")
    return PUBLISHED


@pytest.fixture(scope="session")
def real_claim(published: Path):  # noqa: ANN201
    from netgain.audit.audit import read_claim

    return read_claim(published)


@pytest.fixture(scope="session")
def real_verdict(real_claim):  # noqa: ANN001, ANN201
    from netgain.audit.audit import audit

    return audit(real_claim)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a folder, made from its GGUF file; where that is absent a test is skipped."""
    fcntl, gguf = pytest.importorskip("fcntl"), pytest.importorskip("gguf")
    from netgain.model import folder_of_gguf

    file = Path(os.environ.get("NETGAIN_MODELS", Path(__file__).parents[1] / "models"), SMOLLM2)
    if not file.is_file():
        pytest.skip(f"needs {SMOLLM2}, which the project does not ship: scripts/real-model smollm2")
    assert gguf
    with (file.parent / "lock").open("w") as lock:  # other processes that run tests wait and find it done
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder_of_gguf(file)


LORA = {"rank": 32, "alpha": 64, "dropout": 0.0, "epochs": 10, "lr": 1e-3, "batch_size": 1, "grad_accum_steps": 1}


def passage_file(
    seed: int, *, edits: int = 1, repeats: int = 1, right: float = 0.5, text: str = "1. One.\n2. Two.", **more: Any
) -> dict[str, Any]:
    """A result file like SEAL's for 12 invented passages with 3 questions each, answered at random."""
    rng = random.Random(seed)  # noqa: S311
    articles = []
    for index in range(12):
        completions = [
            {"text": text, "stats": {}, "questions": _questions(rng, index, repeats, right)} for _ in range(edits)
        ]
        title, context = f"Place {index}", f"Place {index} lies by a river and holds a market."
        articles.append({"title": title, "context": context, "prompt": f"List. {context}", "completions": completions})
    rows = [q["adapter_correct"] for a in articles for c in a["completions"] for q in c["questions"]]
    data = {"overall": {"adapter_mean_accuracy": round(sum(rows) / len(rows), 4)}, "split_newlines": True}
    data |= {"k_completions": edits, "eval_times": repeats, "lora_params": LORA, "articles": articles}
    return data | more


def _questions(rng: random.Random, index: int, repeats: int, right: float) -> list[dict[str, Any]]:
    return [
        {
            "rep": rep,
            "question": f"Question {number} about {index}?",
            "answer": "a river",
            "baseline_answer": f"untrained answer {number}",
            "adapter_answer": f"answer {rng.random()}",
            "baseline_correct": (index + number) % 3 == 0,
            "adapter_correct": rng.random() < right,
        }
        for rep in range(repeats)
        for number in range(3)
    ]


@pytest.fixture(scope="session")
def invented() -> dict[str, Any]:
    """One invented file of every kind that SEAL published, by its path."""
    corpus = {"overall": {"baseline_accuracy": 0.3, "adapter_accuracy": 0.4}, "n_articles": 12, "k_completions": 5}
    corpus |= {"lora_params": LORA, "train_sequences": 100, "eval_questions": 36}
    texts = [f"untrained answer {index % 3}" for index in range(36)]
    corpus["server_reply"] = {"baseline_texts": texts, "baseline_correct": [True] * 36, "adapter_correct": [False] * 36}
    answers = {"adapter_texts": texts, "adapter_correct": [True, False] * 18, "baseline_texts": texts}
    tuned = {
        "n_articles": 12,
        "k_completions": 5,
        "train_sequences": 72,
        "model": "models/iter1",
        "dataset": "d/v.json",
    }
    tuned |= {"metrics": {"baseline_accuracy": 0.5, "adapter_accuracy": 0.5, "adapter_gain": 0.0}}
    tuned |= {"per_question": answers | {"baseline_correct": [True, False] * 18}}
    tuned |= {"args": {"epochs": 1, "lr": 7e-5, "batch_size": 4, "gradient_accumulation_steps": 2, "seed": 43}}
    stream = {"mean_over_sequences": [[0.3, 0.3], [0.4, 0], [0.2, 0.4]], "n_sequences": 4, "n_datapoints": 2}
    return {
        "eval/naive.json": passage_file(1, text=""),
        "eval/base.json": passage_file(2),
        "eval/gpt4_1.json": passage_file(3),
        "eval/iter1.json": passage_file(4, right=0.8),
        "train/rank_iter0.json": passage_file(5, edits=3, repeats=3),
        "cpt/cpt_base.json": corpus,
        "cpt/12/iter1_12.json": tuned,
        "train/rank_iter0_proxy.json": passage_file(6, edits=3, reward_mode="proxy"),
        "continual_self_edits/overall_results.json": stream,
        "few-shot/final_results.json": {"0": {"task_id": {"0": "a", "1": "b"}, "correct": {"0": False, "1": True}}},
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small published-results folder: four arms, one reward run, one continued-pretraining file."""
    files = {
        "results/query_server/eval/naive.json": passage_file(1, right=0.35, text=""),
        "results/query_server/eval/base.json": passage_file(2, right=0.5),
        "results/query_server/eval/gpt4_1.json": passage_file(3, right=0.6, text="**Head**\n\n1. A.\n2. B.\n3. C."),
        "results/query_server/eval/iter1.json": passage_file(4, right=0.7),
        "results/query_server/train/rank_iter0.json": passage_file(5, edits=5, repeats=3),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="session")
def simulated() -> ModuleType:
    """Trials made of random numbers (``simulated_trial.py``)."""
    spec = importlib.util.spec_from_file_location(
        "netgain_simulated_trial", Path(__file__).parent / "simulated_trial.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
