"""SQuAD in all its forms, invented; and the real half of SEAL's file where it is at hand."""

import json
from pathlib import Path
from typing import Any

import pytest

REAL = Path(__file__).parents[3] / "shared" / "data" / "squad" / "squad_val_half.json"


@pytest.fixture(scope="session")
def real_squad() -> Path:
    """About half of SEAL's passages; a test that needs them is skipped where they are absent."""
    if not REAL.is_file():
        pytest.skip(f"needs SEAL's SQuAD passages in {REAL.parent.name}/, which the project does not ship")
    return REAL


def seal_items(titles: int = 12, passages: int = 3) -> list[dict[str, Any]]:
    """Passages as SEAL publishes them."""
    return [
        {
            "title": f"Place {title}",
            "context": f"Place {title} has a hall, number {number}, built in {1500 + 10 * title + number}.",
            "questions": [
                {"question": f"When was hall {number} built?", "answer": str(1500 + 10 * title + number)},
                {"question": f"What has number {number}?", "answer": "a hall"},
            ],
        }
        for title in range(titles)
        for number in range(passages)
    ]


def squad_articles(titles: int = 12) -> dict[str, Any]:
    """The same in SQuAD's form, with several annotators; every passage has one unanswerable question of version 2."""
    articles = []
    for item in seal_items(titles, 1):
        questions = [
            {"id": "a", "question": item["questions"][0]["question"], "is_impossible": False, "answers": [
                {"text": item["questions"][0]["answer"], "answer_start": 1},
                {"text": item["questions"][0]["answer"], "answer_start": 1},
                {"text": f"in {item['questions'][0]['answer']}", "answer_start": 1},
            ]},
            {"id": "b", "question": "Who burnt it?", "is_impossible": True, "answers": []},
        ]  # fmt: skip
        title = item["title"].replace(" ", "_")
        articles.append({"title": title, "paragraphs": [{"context": item["context"], "qas": questions}]})
    return {"version": "v2.0", "data": articles}


@pytest.fixture
def seal_file(tmp_path: Path) -> Path:
    path = tmp_path / "seal.json"
    path.write_text(json.dumps(seal_items()), encoding="utf-8")
    return path


@pytest.fixture
def squad_file(tmp_path: Path) -> Path:
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(squad_articles()), encoding="utf-8")
    return path


ARC = Path(__file__).parents[3] / "shared" / "data" / "arc"


@pytest.fixture(scope="session")
def real_arc() -> Path:
    """ARC-AGI-1's training tasks and SEAL's two lists; a test that needs them is skipped where they are absent."""
    if not ARC.is_dir():
        pytest.skip(f"needs ARC's tasks in {ARC.parent.name}/{ARC.name}/, which the project does not ship")
    return ARC
