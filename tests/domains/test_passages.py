"""A user's own passages become problems, and what is wrong with them is said by file, line and rule."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netgain.domains import Domain
from netgain.domains.passages import Passages, PassagesSettings, mistakes, read_passages, weak_questions
from netgain.domains.reading import Shares
from netgain.errors import InputError
from netgain.trials.resolve import resolve, with_data
from netgain.trials.run_setup import describe_run

GOOD = "# The old mill\n\nIt was built in 1820.\n\n## History\nIt burnt in 1901.\n\n## Questions\n\n{questions}"
PAIRS = "Q: When was it built?\nA: 1820\nA: in 1820\n\n- q: When did it burn?\n- a: 1901\n"
ALL = Shares(train=0, development=0, test=1)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def line(name: str, **more: Any) -> str:
    fields = {"title": name, "text": f"{name} is red.", "questions": [{"question": "Which?", "answers": ["red"]}]}
    return json.dumps(fields | more)


def test_a_markdown_file_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, "mill.md", GOOD.format(questions=PAIRS))
    domain: Domain = Passages(PassagesSettings(path=tmp_path, shares=ALL))
    (problem,) = domain.problems("test", 1, 0)
    assert problem.material.title == "The old mill"
    assert problem.material.text == "It was built in 1820.\n\n## History\nIt burnt in 1901."
    assert [question.answers for question in problem.questions] == [("1820", "in 1820"), ("1901",)]
    assert problem.questions[1].text == "Topic: The old mill\nQuestion: When did it burn?"
    assert domain.grade(problem.questions[0], "In 1820.").correct
    assert problem.id.startswith("the-old-mill-")


def test_the_question_that_a_page_shows_as_an_example_stands_alone(tmp_path: Path) -> None:
    write(tmp_path, "notes/development/mill.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "notes/test.jsonl", line("One", split="test"))
    fields: dict[str, Any] = {"domains": {"notes": {"kind": "passages", "path": str(tmp_path / "notes")}}}
    fields |= {"name": "mill", "budget": {"per_problem": 1e9, "ladder": [1, 2]}, "compare": {"arm": "passage"}}
    fields |= {"arms": {"frozen": {"method": "frozen"}, "passage": {"method": "finetune"}}}
    (shown,) = describe_run(with_data(resolve(fields))).questions
    assert (shown.question, shown.answer) == ("When was it built?", "1820")


def test_a_json_line_is_a_problem_and_files_may_be_mixed(tmp_path: Path) -> None:
    write(tmp_path, "some.jsonl", f"{line('One')}\n\n{line('Two')}\n")
    write(tmp_path, "deeper/mill.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "README.txt", "not a passage")
    passages = Passages(PassagesSettings(path=tmp_path, shares=ALL))
    assert {problem.material.title for problem in passages.problems("test", 3, 0)} == {"One", "Two", "The old mill"}
    alone = Passages(PassagesSettings(path=tmp_path / "some.jsonl", shares=ALL))
    assert len(alone.problems("test", 2, 0)) == 2
    with pytest.raises(InputError, match="3 test problems: there are 2"):
        alone.problems("test", 3, 0)


def test_a_passage_is_in_the_split_that_its_folder_or_field_names(tmp_path: Path) -> None:
    write(tmp_path, "train/mill.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "rest.jsonl", "\n".join([line("One", split="test"), *(line(f"N{i}") for i in range(20))]))
    passages = Passages(PassagesSettings(path=tmp_path))
    train = {problem.material.title for problem in passages.problems("train", 9, 0)}
    test = {problem.material.title for problem in passages.problems("test", 9, 0)}
    assert "The old mill" in train
    assert "One" in test
    assert not train & test
    assert len(passages.problems("development", 2, 0)) == 2
    assert {question.kind for question in passages.controls(5, 0)} == {"skill"}


def test_the_order_is_the_seeds_and_the_splits_are_not(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", "\n".join(line(f"N{i}") for i in range(20)))
    passages = Passages(PassagesSettings(path=tmp_path))
    first, second = passages.problems("test", 8, 0), passages.problems("test", 8, 1)
    assert first != second
    assert set(first) == set(second)


def test_a_question_of_two_hops_is_of_the_kind_reasoning(tmp_path: Path) -> None:
    two_hop = "## Two-hop questions\n\nQ: How long did it stand?\nA: 81 years\n"
    write(tmp_path, "test/mill.md", GOOD.format(questions=f"{PAIRS}\n{two_hop}"))
    write(tmp_path, "test/kiln.md", f"# The kiln\n\nIt burnt.\n\n{two_hop}\n## Questions\n\nQ: What?\nA: burnt\n")
    kinds = [{"question": kind, "answers": ["red"], "kind": kind} for kind in ("reasoning", "knowledge")]
    write(tmp_path, "test/one.jsonl", line("One", questions=kinds))
    write(tmp_path, "test/sum.md", f"# The sum\n\nOne and one.\n\n{two_hop}")
    problems = Passages(PassagesSettings(path=tmp_path)).problems("test", 4, 0)
    found = {problem.material.title: [question.kind for question in problem.questions] for problem in problems}
    assert found == {
        "The old mill": ["knowledge", "knowledge", "reasoning"],
        "The kiln": ["knowledge", "reasoning"],
        "One": ["knowledge", "reasoning"],
        "The sum": ["reasoning"],
    }
    assert all("hop" not in problem.material.text for problem in problems)


def test_controls_may_be_named_like_a_split_and_are_in_none(tmp_path: Path) -> None:
    write(tmp_path, "controls/mill.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "rest.jsonl", "\n".join([line("Own", split="controls"), *(line(f"N{i}") for i in range(3))]))
    passages = Passages(PassagesSettings(path=tmp_path, shares=ALL))
    assert {problem.material.title for problem in passages.problems("test", 3, 0)} == {"N0", "N1", "N2"}
    assert {question.passage.title for question in passages.controls(9, 0) if question.passage} == {
        "The old mill",
        "Own",
    }


def test_a_readme_is_about_the_folder_and_no_passage(tmp_path: Path) -> None:
    write(tmp_path, "mill.md", GOOD.format(questions=PAIRS))
    about = write(tmp_path, "ReadMe.md", "What these notes are.")
    passages = Passages(PassagesSettings(path=tmp_path, shares=ALL))
    assert len(passages.problems("test", 1, 0)) == 1
    assert passages.notes == ("left out as about the folder: ReadMe.md",)
    with pytest.raises(InputError, match="is not a title"):  # named by itself, it is meant
        read_passages(about)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", 1, "is not a title"),
        ("\nno title\n", 2, "'no title' is not a title"),
        ("# \ntext", 1, "is not a title"),
        ("# T\ntext\n", 2, "no section `## Questions`"),
        ("# T\n\n## Questions\nQ: a?\nA: b", 3, "no text between"),
        ("# T\ntext\n## Questions\n\n", 3, "no questions below"),
        (GOOD.format(questions="Q: Who?\n\nQ: When?\nA: 1820"), 10, "the question 'Who?' has no answer"),
        (GOOD.format(questions="Q: Who?\nA: he\nQ: When?"), 12, "the question 'When?' has no answer"),
        (GOOD.format(questions="A: 1820"), 10, "the answer '1820' has no question"),
        (GOOD.format(questions="Q: Who?\nA:"), 11, "A: is empty"),
        (GOOD.format(questions=f"{PAIRS}\n## Two-hop questions\n"), 17, "no questions below `## Two-hop questions`"),
        (GOOD.format(questions="\n## Two-hop questions\nQ: Who?\nA: he"), 8, "no questions below `## Questions`"),
        (GOOD.format(questions="Q: Who?\nhe"), 11, "'he' begins with neither Q: nor A:"),
    ],
)
def test_markdown_that_breaks_a_rule_is_named_by_file_and_line(
    tmp_path: Path, text: str, place: int, message: str
) -> None:
    path = write(tmp_path, "bad.md", text)
    with pytest.raises(InputError) as raised:
        Passages(PassagesSettings(path=tmp_path))
    assert raised.value.where == f"{path}:{place}"
    assert message in raised.value.problem
    assert raised.value.remedy
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a list"),
        (line("A", txet="x"), "unknown field 'txet'; did you mean 'text'"),
        (line("A", title=""), "title = '' is not a text"),
        (line("A", text=7), "text = 7 is not a text"),
        (line("A", questions=[]), "questions = [] is not a list of questions"),
        (line("A", questions=["q"]), "questions[0]: 'q' is not an object"),
        (line("A", questions=[{"question": "q", "answers": "a"}]), "questions[0]: answers = 'a' is not a list"),
        (line("A", questions=[{"question": "q", "answers": []}]), "the question 'q' has no answer"),
        (line("A", questions=[{"answers": ["a"]}]), "question = None is not a text"),
        (
            line("A", questions=[{"question": "q", "answers": ["a"], "kind": "reasonin"}]),
            "questions[0]: kind = 'reasonin' is neither knowledge (told in the passage) nor reasoning (of two hops); "
            "did you mean 'reasoning'",
        ),
        (line("A", split="trian"), "'trian' is none of train, development, test, controls; did you mean 'train'"),
    ],
)
def test_a_json_line_that_breaks_a_rule_is_named_by_file_and_line(tmp_path: Path, bad: str, message: str) -> None:
    path = write(tmp_path, "a.jsonl", f"{line('Good')}\n\n{bad}\n")
    with pytest.raises(InputError) as raised:
        Passages(PassagesSettings(path=path))
    assert str(raised.value).startswith(f"{path}:3: ")
    assert message in str(raised.value)


def test_files_that_hold_no_passages_are_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "no passages are in it"),
        (write(tmp_path, "a.txt", "x"), "ends in '.txt'"),
    ):
        with pytest.raises(InputError, match=message):
            Passages(PassagesSettings(path=path))
    (tmp_path / "b.md").write_bytes(b"# T\n\xff")
    with pytest.raises(InputError, match=r"UTF-8 text \(byte 4\)"):
        Passages(PassagesSettings(path=tmp_path))


def test_a_passage_twice_or_a_title_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", f"{line('A')}\n{line('A')}\n")
    with pytest.raises(InputError, match=r"a.jsonl:2: 'A' is the same passage as in .*a.jsonl:1"):
        Passages(PassagesSettings(path=path))
    write(tmp_path, "a.jsonl", f"{line('A', split='train')}\n{line('A', text='Other.', split='test')}\n")
    with pytest.raises(InputError, match="'A' is in test, but another passage of this title in train"):
        Passages(PassagesSettings(path=path))


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_ends_end_a_line_and_every_other_separator_is_text(tmp_path: Path, mark: str) -> None:
    fields = {"title": "T", "text": f"one{mark}two", "questions": [{"question": "q?", "answers": ["x"]}]}
    plain = json.dumps(fields, ensure_ascii=False)
    if mark in "\u2028\u2029\u0085":  # the others need an escape in JSON
        lines = write(tmp_path, "a.jsonl", f"{plain}\n\nbroken\n")
        with pytest.raises(InputError, match=r"a.jsonl:3: is not JSON"):
            read_passages(lines)
        write(tmp_path, "a.jsonl", f"{plain}\n")
        assert [entry.text for entry in read_passages(lines)] == [f"one{mark}two"]
    note = write(tmp_path, "b.md", f"# T\n\none{mark}## Questions{mark}two\n\n## Questions\nQ: q{mark}?\nA: x\nhe")
    with pytest.raises(InputError, match=r"b.md:8: 'he' begins with neither"):
        read_passages(note)
    note.write_text(note.read_text(encoding="utf-8").removesuffix("he"), encoding="utf-8")
    (entry,) = read_passages(note)
    assert (entry.text, entry.questions) == (f"one{mark}## Questions{mark}two", ((f"q{mark}?", ("x",)),))


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    note, lines = GOOD.format(questions=PAIRS), f"{line('One', text='a' + chr(10) + 'b')}\n{line('Two')}\n"
    for folder, ends, mark in (("unix", "\n", b""), ("windows", "\r\n", b"\xef\xbb\xbf")):
        (tmp_path / folder).mkdir()
        text = lines.replace("\\n", json.dumps(ends)[1:-1])
        (tmp_path / folder / "a.md").write_bytes(mark + note.replace("\n", ends).encode())
        (tmp_path / folder / "b.jsonl").write_bytes(mark + text.replace("\n", ends).encode())
    first, second = read_passages(tmp_path / "unix"), read_passages(tmp_path / "windows")
    assert [(e.title, e.text, e.questions) for e in first] == [(e.title, e.text, e.questions) for e in second]
    assert first[1].text == "a\nb"


def test_hidden_files_are_no_passages_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    root = tmp_path / ".notes"  # its own name is none of the passages' business
    for name in ("a.MD", "b.markdown", "sub/c.md", "d.JSONL"):
        write(
            root,
            name,
            line("D") if name.startswith("d") else GOOD.replace("The old mill", name).format(questions=PAIRS),
        )
    for name in (".ipynb_checkpoints/a-checkpoint.md", "sub/.c.md.swp", "sub/._c.md"):
        write(root, name, GOOD.format(questions="Q: When was it built?\nA: 1066\n"))
    write(root, "plan.txt", "x")
    passages = Passages(PassagesSettings(path=root, shares=ALL))
    assert {entry.title for entry in passages._pools["test"]} == {"a.MD", "b.markdown", "sub/c.md", "D"}
    assert passages.notes == (
        "left out as hidden: .ipynb_checkpoints/a-checkpoint.md, sub/._c.md, sub/.c.md.swp",
        "left out as not .md, .markdown, .jsonl: plan.txt",
    )
    assert len(read_passages(root / ".ipynb_checkpoints" / "a-checkpoint.md")) == 1  # named by itself, it is meant


def test_a_plan_says_what_was_left_out(tmp_path: Path) -> None:
    write(tmp_path, "notes/development/mill.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "notes/test.jsonl", line("One", split="test"))
    write(tmp_path, "notes/.old/mill.md", GOOD.format(questions=PAIRS))
    fields: dict[str, Any] = {"domains": {"notes": {"kind": "passages", "path": str(tmp_path / "notes")}}}
    fields |= {"name": "mill", "budget": {"per_problem": 1e9, "ladder": [1, 2]}, "compare": {"arm": "passage"}}
    fields |= {"arms": {"frozen": {"method": "frozen"}, "passage": {"method": "finetune"}}}
    assert "notes: left out as hidden: .old/mill.md" in with_data(resolve(fields)).notes


@pytest.mark.parametrize("answer", ["The", "?"])
def test_an_answer_of_articles_or_punctuation_alone_is_refused_with_its_line(tmp_path: Path, answer: str) -> None:
    note = write(tmp_path, "a/mill.md", GOOD.format(questions=f"Q: Which?\nA: the old mill\nA: {answer}\n"))
    with pytest.raises(InputError, match=rf"mill\.md:12: the accepted answer '{re.escape(answer)}' has no word left"):
        Passages(PassagesSettings(path=note))
    lines = write(tmp_path, "b/some.jsonl", f"\n{line('One', questions=[{'question': 'Which?', 'answers': [answer]}])}")
    with pytest.raises(InputError, match=r"some\.jsonl:2: questions\[0\]: the accepted answer"):
        Passages(PassagesSettings(path=lines))


def test_passages_in_another_language_are_graded_in_it(tmp_path: Path) -> None:
    questions = [{"question": "它在哪里?", "answers": ["北京"]}]
    lines = write(tmp_path, "some.jsonl", line("钟楼", questions=questions))
    domain = Passages(PassagesSettings(path=lines, shares=ALL, language="zh"))
    ((question,),) = (problem.questions for problem in domain.problems("test", 1, 0))
    assert [domain.grade(question, said).contains for said in ("在北京市。", "在南京。")] == [True, False]
    german = write(tmp_path, "mill.md", GOOD.format(questions="Q: Welche Note?\nA: A\n"))
    assert Passages(PassagesSettings(path=german, language="de"))
    with pytest.raises(InputError, match=r"mill\.md:11: the accepted answer 'A'"):
        Passages(PassagesSettings(path=german))


def test_a_language_whose_words_are_not_known_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, "notes/mill.md", GOOD.format(questions=PAIRS))
    fields: dict[str, Any] = {"kind": "passages", "path": str(tmp_path / "notes"), "language": "tlh"}
    trial = {"name": "mill", "domains": {"notes": fields}, "budget": {"per_problem": 1e9, "ladder": [1]}}
    trial |= {"arms": {"frozen": {"method": "frozen"}}, "compare": {"arm": "frozen"}}
    with pytest.raises(InputError, match=r"domains\.notes\.language: 'tlh' is none of ar, de, en"):
        resolve(trial)


def test_every_file_that_breaks_a_rule_is_named_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "no title")
    write(tmp_path, "b.md", GOOD.format(questions=PAIRS))
    write(tmp_path, "c.jsonl", f"{line('One')}\n[1]\n[2]\n")
    assert [Path(error.where).name for error in mistakes(tmp_path)] == ["a.md:1", "c.jsonl:2"]
    assert mistakes(tmp_path / "b.md") == []


def test_questions_that_tell_their_answer_or_ask_what_is_not_told_are_named(tmp_path: Path) -> None:
    two_hop = "## Two-hop questions\nQ: How long did it stand?\nA: 81 years\n"
    write(tmp_path, "good.md", GOOD.format(questions=f"{PAIRS}\n{two_hop}"))
    assert weak_questions(read_passages(tmp_path)) == ()
    pairs = (
        "Q: Did it burn in 1901?\nA: 1901\n\nQ: What is it?\nA: a mill\n\nQ: Who built it?\nA: Vance\nA: Owen Vance\n"
    )
    path = write(tmp_path, "weak.md", GOOD.format(questions=pairs))
    assert weak_questions(read_passages(path)) == (
        f"2 questions tell their own answer, or their title does, such as 'Did it burn in 1901?' in {path}",
        f"2 questions have an answer that their passage does not have in these words, such as 'a mill' in {path}",
    )
