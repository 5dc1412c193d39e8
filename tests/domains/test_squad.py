"""SQuAD's passages become problems: all forms of its files alike, no title in two splits, what is wrong told."""

import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from netgain.domains.problem import Question
from netgain.domains.reading import READING, Shares
from netgain.domains.squad import Read, Squad, SquadSettings, read_file
from netgain.errors import InputError, MissingExtraError

from .conftest import seal_items, squad_articles

SPLITS: Any = ("train", "development", "test")


def titles(squad: Squad, split: Any, seed: int = 0) -> set[str]:
    pool = squad._pools[split]
    return {problem.material.title for problem in squad.problems(split, len(pool), seed)}


def test_it_is_a_domain(seal_file: Path) -> None:
    domain = Squad(SquadSettings(path=seal_file))
    (problem,) = domain.problems("test", 1, 0)
    assert problem.material.text.startswith(problem.material.title)
    assert problem.questions[0].text.startswith(f"Topic: {problem.material.title}\nQuestion: When was")
    assert domain.oracle(problem.material, 0) is None
    assert domain.grade(problem.questions[1], "The hall.").correct


def test_no_title_is_in_two_splits_whatever_the_seeds(seal_file: Path) -> None:
    squad = Squad(SquadSettings(path=seal_file))
    found = {split: titles(squad, split, seed) for seed, split in enumerate(SPLITS)}
    found["controls"] = {question.passage.title for question in squad.controls(99, 0) if question.passage}
    assert sorted(title for some in found.values() for title in some) == sorted({i["title"] for i in seal_items()})
    assert {split: len(some) for split, some in found.items()} == {
        "train": 5,
        "development": 1,
        "test": 5,
        "controls": 1,
    }


def test_the_same_seed_gives_the_same_problems_and_another_another_order_of_the_same_titles(seal_file: Path) -> None:
    squad, again = Squad(SquadSettings(path=seal_file)), Squad(SquadSettings(path=seal_file))
    assert squad.problems("test", 9, 3) == again.problems("test", 9, 3)
    assert squad.problems("test", 9, 3)[:4] == squad.problems("test", 4, 3)
    assert squad.problems("test", 9, 3) != squad.problems("test", 9, 4)
    assert titles(squad, "test", 3) == titles(squad, "test", 4)
    other = Squad(SquadSettings(path=seal_file, order_seed=1))
    assert titles(other, "test") != titles(squad, "test")


def test_all_forms_of_the_files_are_read_alike(squad_file: Path, tmp_path: Path) -> None:
    plain = squad_articles()
    for article in plain["data"]:
        article["paragraphs"][0]["qas"] = [
            {k: v for k, v in one.items() if k != "is_impossible"} for one in article["paragraphs"][0]["qas"][:1]
        ]
    (tmp_path / "v1.json").write_text(json.dumps(plain))
    first, second = Squad(SquadSettings(path=tmp_path / "v1.json")), Squad(SquadSettings(path=squad_file))
    assert first.problems("test", 5, 0) == second.problems("test", 5, 0)
    (question,) = first.problems("test", 1, 0)[0].questions
    assert question.answers == (question.answers[0], f"in {question.answers[0]}")
    assert first.notes == ()
    assert second.notes == ("12 questions without an answer in their passage are left out",)


def test_passages_without_questions_are_left_out_and_told(tmp_path: Path) -> None:
    items = seal_items(4, 2)
    items[3]["questions"] = []
    (tmp_path / "s.json").write_text(json.dumps([*items, items[0]]))
    squad = Squad(SquadSettings(path=tmp_path / "s.json", shares=Shares(train=0, development=0, test=1)))
    assert squad.notes == ("1 passages without a question are left out",)
    assert len({problem.id for problem in squad.problems("test", 7, 0)}) == 7
    with pytest.raises(InputError, match="8 test problems: there are 7"):
        squad.problems("test", 8, 0)


def test_seals_exam_is_the_first_of_its_own_shuffle_and_training_has_other_titles(tmp_path: Path) -> None:
    items = seal_items(100, 3)
    (tmp_path / "val.json").write_text(json.dumps(items))
    (tmp_path / "train.json").write_text(json.dumps(seal_items(130, 3)))
    wanted = list(items)
    random.seed(42)
    random.shuffle(wanted)
    squad = Squad(SquadSettings(path=tmp_path / "val.json", train_path=tmp_path / "train.json", order="seal"))
    for seed in (0, 1):
        found = [problem.material.text for problem in squad.problems("test", 200, seed)]
        assert found == [item["context"] for item in wanted[:200]]
    with pytest.raises(InputError, match="there are 200"):
        squad.problems("test", 201, 0)
    learnt = titles(squad, "train") | titles(squad, "development")
    assert learnt == {f"Place {number}" for number in range(100, 130)}
    assert not titles(squad, "train") & titles(squad, "development")
    assert len(titles(squad, "train")) == 24
    examined = {problem.material.text for problem in squad.problems("test", 200, 0)}
    assert not any(question.passage and question.passage.text in examined for question in squad.controls(50, 0))


def test_seals_exam_alone_leaves_nothing_to_train_on(seal_file: Path) -> None:
    squad = Squad(SquadSettings(path=seal_file, order="seal"))
    assert squad.problems("train", 0, 0) == ()
    with pytest.raises(InputError, match="give train_path"):
        squad.problems("train", 1, 0)


def test_a_file_of_its_own_for_training_leaves_the_other_to_the_exam(seal_file: Path, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(seal_items(30, 1)))
    squad = Squad(SquadSettings(path=seal_file, train_path=tmp_path / "train.json"))
    exam = {f"Place {number}" for number in range(12)}
    assert titles(squad, "test") <= exam
    assert not (titles(squad, "train") | titles(squad, "development")) & exam


def test_controls_are_answered_from_a_passage_that_is_told(seal_file: Path) -> None:
    squad = Squad(SquadSettings(path=seal_file))
    controls = squad.controls(4, 1)
    assert controls == squad.controls(4, 1) != squad.controls(4, 2)
    assert {question.kind for question in controls} == {"skill"}
    for question in controls:
        assert question.passage is not None
        assert question.answers[0] in question.passage.text
        told = f"Title: {question.passage.title}\n{question.passage.text}\n\nTopic: {question.passage.title}"
        assert told in READING.ask(question.text, (question.passage,))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[{", "broken.json:1: is not JSON"),
        ("7", "holds a int without passages"),
        ('[{"title": "a"}]', r"\[0\]: context = None is not a text"),
        ('[{"title": "a", "context": "b", "questions": {}}]', r"\[0\]: questions = {} is not a list"),
        ('[{"title": "a", "context": "b", "questions": [{"question": "q"}]}]', r"questions\[0\]: answer = None"),
        ('{"data": [{"title": "a", "paragraphs": [{"context": "", "qas": []}]}]}', r"paragraphs\[0\]: context = ''"),
        ('{"data": [3]}', r"data\[0\]: title = None"),
        ('{"data": [{"title": 7, "paragraphs": []}]}', r"data\[0\]: title = 7 is not a text"),
        (
            '{"data": [{"title": "a", "paragraphs": [{"context": "b", "qas": ['
            '{"question": "q", "is_impossible": "no"}]}]}]}',
            r"qas\[0\]: is_impossible = 'no' is neither true nor false",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, data: str, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(data)
    with pytest.raises(InputError, match=message) as raised:
        Squad(SquadSettings(path=path))
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def in_the_field(path: Path, questions: list[dict[str, Any]], mark: bytes = b"", **article: Any) -> Read:
    paragraphs = [{"context": "Ada lives in Rome.\r\nShe sings.", "qas": questions}]
    data = {"data": [{"title": "Ada_Byron", "paragraphs": paragraphs} | article]}
    path.write_bytes(mark + json.dumps(data, indent=1).replace("\n", "\r\n").encode())
    return read_file(path)


WHERE = {"id": "1", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 13}]}


@pytest.mark.parametrize(
    "more",
    [
        {"is_impossible": True, "answers": [{"text": "", "answer_start": -1}]},
        {"is_impossible": False, "answers": [{"text": "", "answer_start": -1}]},
        {"is_impossible": True, "answers": [], "plausible_answers": [{"text": "Rome", "answer_start": 13}]},
        {"is_impossible": True, "answers": None},
        {"is_impossible": True},
        {"is_impossible": float("nan"), "answers": [{"text": float("nan"), "answer_start": float("nan")}]},
    ],
)
def test_a_question_without_an_answer_is_left_out_however_it_is_written(tmp_path: Path, more: dict[str, Any]) -> None:
    read = in_the_field(tmp_path / "s.json", [WHERE, {"id": "2", "question": "Who?"} | more])
    (passage,) = read.passages
    assert (passage.title, passage.text) == ("Ada Byron", "Ada lives in Rome.\nShe sings.")
    assert passage.questions == (("Where?", ("Rome",)),)
    assert read.unanswerable == 1


@pytest.mark.parametrize(
    "said", [{}, {"is_impossible": False}, {"is_impossible": float("nan")}, {"is_impossible": None}]
)
def test_an_answerable_question_stays_whatever_the_file_says_of_impossibility(
    tmp_path: Path, said: dict[str, Any]
) -> None:
    answers = [{"text": "Rome", "answer_start": -1}, {"text": "", "answer_start": 0}, {"text": "Rome"}]
    read = in_the_field(tmp_path / "s.json", [{"question": "Where?", "answers": answers} | said], b"\xef\xbb\xbf")
    assert read.passages[0].questions == (("Where?", ("Rome",)),)
    assert read.unanswerable == 0


def test_a_record_that_stands_twice_is_one_question_and_an_id_twice_is_two(tmp_path: Path) -> None:
    again = WHERE | {"id": 1, "answers": [{"text": "in Rome"}]}
    read = in_the_field(tmp_path / "s.json", [WHERE, again, WHERE | {"question": "In what town?"}])
    assert read.passages[0].questions == (("Where?", ("Rome", "in Rome")), ("In what town?", ("Rome",)))
    assert read.repeated == 1
    assert "1 questions stand in the file again and count once" in Squad(SquadSettings(path=tmp_path / "s.json")).notes
    bare = {key: value for key, value in WHERE.items() if key != "id"}
    assert len(in_the_field(tmp_path / "s.json", [bare, bare]).passages[0].questions) == 2


@pytest.mark.parametrize("title", ["", " ", None, float("nan")])
def test_articles_without_a_title_are_told_apart_by_their_text(tmp_path: Path, title: object) -> None:
    articles = squad_articles(4)
    for article in articles["data"]:
        article["title"] = title
    articles["data"][0]["paragraphs"].append({"context": "Another.", "qas": [WHERE]})
    path = tmp_path / "s.json"
    path.write_text(json.dumps(articles))
    titles = [passage.title for passage in read_file(path).passages]
    assert len(titles) == 5
    assert len(set(titles)) == 4
    assert titles[0] == titles[1]
    assert all(name.startswith("untitled ") for name in titles)
    assert "5 passages without a title are named by their text" in Squad(SquadSettings(path=path)).notes


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Squad(SquadSettings(path=tmp_path / "none.json"))
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    with pytest.raises(InputError, match="UTF-8"):
        Squad(SquadSettings(path=tmp_path / "latin.json"))


@pytest.mark.parametrize("wrong", [{}, {"path": "a", "hub": "b"}, {"path": "a", "order_sed": 1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SquadSettings(**wrong)


def test_shares_above_one_are_refused(seal_file: Path) -> None:
    with pytest.raises(InputError, match=r"add up to 1\.2"):
        Squad(SquadSettings(path=seal_file, shares=Shares(train=0.6, development=0.2, test=0.4)))


def test_without_the_package_datasets_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"netgain\[datasets\]"):
        Squad(SquadSettings(hub="rajpurkar/squad"))


def test_a_data_set_of_the_hub_is_read_by_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"title": item["title"].replace(" ", "_"), "context": item["context"], "question": one["question"],
         "answers": {"text": [one["answer"], one["answer"]], "answer_start": [0, 0]}}
        for item in seal_items() for one in item["questions"]
    ]  # fmt: skip
    asked = []

    def load(name: str, *, split: str) -> list[dict[str, Any]]:
        asked.append((name, split))
        return rows

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
    squad = Squad(SquadSettings(hub="rajpurkar/squad"))
    assert asked == [("rajpurkar/squad", "validation")]
    assert {len(problem.questions) for problem in squad.problems("test", 5, 0)} == {2}


def test_an_answer_without_a_word_is_left_out_and_a_question_with_no_other_one_is_counted(tmp_path: Path) -> None:
    """Public files cannot be mended by whoever reads them."""
    items = seal_items(2, 1)
    items[0]["questions"] += [{"question": "Which article?", "answer": "The"}]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    squad = Squad(SquadSettings(path=path))
    assert squad.notes == ("1 questions whose answers are articles or punctuation alone are left out",)
    assert sum(len(passage.questions) for passage in read_file(path).passages) == 4
    assert read_file(path, "de").wordless == 0
    articles = squad_articles(1)
    articles["data"][0]["paragraphs"][0]["qas"][0]["answers"] += [{"text": "a", "answer_start": 0}]
    path.write_text(json.dumps(articles), encoding="utf-8")
    assert all("a" not in answers for _, answers in read_file(path).passages[0].questions)
    assert read_file(path).wordless == 0


def test_the_real_passages_are_read_whole(real_squad: Path) -> None:
    squad = Squad(SquadSettings(path=real_squad))
    assert squad.notes == ()
    counts = {split: len(pool) for split, pool in squad._pools.items()}
    assert sum(counts.values()) == 1065
    assert all(counts.values())
    graded = [
        squad.grade(question, question.answers[0])
        for problem in squad.problems("test", 100, 0)
        for question in problem.questions
    ]
    assert all(grade.correct and grade.f1 == 1 for grade in graded)
    exam = Squad(SquadSettings(path=real_squad, order="seal")).problems("test", 200, 0)
    assert len(exam) == 200
    assert isinstance(exam[0].questions[0], Question)
