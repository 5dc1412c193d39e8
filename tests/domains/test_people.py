"""The people world: endless, the same under the same seed, nobody in two splits, the same facts in both styles."""

import hashlib
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import netgain
from netgain.domains import people_world
from netgain.domains.people import STRIDE, People, PeopleSettings, _opened, names, seen
from netgain.domains.people_world import ATTRIBUTES, KNOWN
from netgain.domains.problem import Problem, Question, Split
from netgain.domains.wording import PLAIN_PROMPTS as PROMPTS
from netgain.errors import InputError

SPLITS: tuple[Split, ...] = ("train", "development", "test")
PLAIN, NARRATIVE = People(PeopleSettings(style="plain")), People(PeopleSettings(style="narrative"))
SHIPPED = Path(netgain.__file__).parent / "shipped" / "people"
WORD = re.compile(r"\w+")


def digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def text_of(problem: Problem) -> str:
    return " ".join([problem.material.title, problem.material.text, *(q.text for q in problem.questions)])


def facts_of(problem: Problem) -> dict[str, str]:
    """The answers in the order of the attributes."""
    return dict(zip(ATTRIBUTES, (question.answers[0] for question in problem.questions), strict=True))


def worded(name: str, attribute: str, value: str) -> list[str]:
    """All plain statements of a fact."""
    return [wording.format(name=name, value=value) for wording in ATTRIBUTES[attribute].statements]


def test_no_name_is_in_two_splits_nor_was_it_met_in_pre_training() -> None:
    assert not any(set(one) & set(other) for one, other in combinations(names().values(), 2))
    assert sum(len(share) for share in names().values()) == len(people_world.FIRST) * len(people_world.LAST)
    for split in SPLITS:
        titles = {problem.material.title for seed in range(3) for problem in PLAIN.problems(split, 100, seed)}
        assert titles <= set(names()[split])


@pytest.mark.parametrize("split", SPLITS)
def test_seeds_share_neither_a_name_nor_all_their_facts(split: Split) -> None:
    by_seed = [PLAIN.problems(split, STRIDE, seed) for seed in range(5)]
    for one, other in combinations(by_seed, 2):
        assert not {p.material.title for p in one} & {p.material.title for p in other}
        assert [facts_of(p) for p in one] != [facts_of(p) for p in other]


@pytest.mark.parametrize("domain", [PLAIN, NARRATIVE], ids=lambda domain: str(domain.settings.style))
def test_the_same_seed_gives_the_same_problems_and_more_of_them_begin_alike(domain: People) -> None:
    again = People(domain.settings)
    assert domain.problems("test", 8, 3) == again.problems("test", 8, 3) == domain.problems("test", 20, 3)[:8]
    assert domain.controls(12, 3) == again.controls(12, 3)
    assert len({problem.id for split in SPLITS for problem in domain.problems(split, 30, 3)}) == 90


def test_the_people_whom_the_shipped_model_knows_stay_who_they_are() -> None:
    known = [(who.name, who.pronoun, dict(who.facts)) for who in seen()]
    assert digest(known, people_world.SEAT_OF, people_world.PRODUCT_OF, people_world.COUNTRY_OF) == "b7cd90b3fcb4d6a4"


def test_both_styles_tell_of_the_same_people_and_ask_the_same() -> None:
    for one, other in zip(PLAIN.problems("test", 30, 0), NARRATIVE.problems("test", 30, 0), strict=True):
        assert one.questions == other.questions
        assert one.material.title == other.material.title
        assert one.id != other.id
        assert PLAIN.oracle(one.material, 0).count("\n") == NARRATIVE.oracle(other.material, 0).count("\n")


def test_a_plain_passage_tells_every_fact_with_the_whole_name() -> None:
    for problem in PLAIN.problems("test", 50, 0):
        sentences = problem.material.text.split(". ")
        assert len(sentences) == len(KNOWN)
        assert all(problem.material.title in sentence for sentence in sentences)
        for name, value in facts_of(problem).items():
            assert (value in WORD.findall(problem.material.text)) >= (name in {attribute.name for attribute in KNOWN})


@pytest.mark.parametrize("implied", [0.0, 0.5, 1.0])
def test_a_narrative_opens_plainly_then_tells_or_implies_the_rest_and_says_the_name_once(implied: float) -> None:
    domain = People(PeopleSettings(style="narrative", implied=implied, others=0))
    for problem in domain.problems("test", 50, 0):
        words = WORD.findall(problem.material.text)
        truths = facts_of(problem)
        told = [attribute.name for attribute in KNOWN if truths[attribute.name] in words]
        hinted = [attribute.name for attribute in KNOWN if attribute.clues[truths[attribute.name]] in words]
        assert sorted([*told, *hinted]) == sorted(attribute.name for attribute in KNOWN)
        assert len(hinted) == round(implied * (len(KNOWN) - 1))  # one is told plainly, whatever the share
        assert problem.material.text.count(problem.material.title) == 1
        opening = problem.material.text.split(". ")[0] + "."
        told_plainly = [
            name for name, value in truths.items() if opening in worded(problem.material.title, name, value)
        ]
        assert len(told_plainly) == 1
        assert problem.material.text.count(". ") < len(KNOWN) - 1


def test_others_come_into_a_share_of_narratives() -> None:
    kin = set(people_world.KIN)
    for share, least, most in ((0.0, 0, 0), (0.5, 30, 70), (1.0, 100, 100)):
        problems = People(PeopleSettings(style="narrative", others=share)).problems("test", 100, 0)
        counts = [sum(word in kin for word in WORD.findall(problem.material.text)) for problem in problems]
        assert least <= sum(counts) <= most
        assert max(counts) <= 1


def test_a_word_stands_for_one_value_only() -> None:
    pools = [*(attribute.values for attribute in KNOWN), *(tuple(a.clues.values()) for a in KNOWN)]
    pools += [people_world.COUNTRIES, people_world.PRODUCTS, people_world.FIRST, people_world.LAST]
    words = [word for pool in pools for word in pool]
    assert len(words) == len(set(words))
    for attribute in (ATTRIBUTES["profession"], ATTRIBUTES["pet"]):  # they follow the article "a"
        assert not any(value[0] in "aeiou" for value in attribute.values)


def test_what_follows_from_a_fact_is_true_of_its_city_or_company() -> None:
    for problem in PLAIN.problems("train", 30, 1):
        truths = facts_of(problem)
        assert truths["country"] == people_world.COUNTRY_OF[truths["birthplace"]]
        assert truths["seat"] == people_world.SEAT_OF[truths["employer"]]
        assert truths["product"] == people_world.PRODUCT_OF[truths["employer"]]
        assert [q.kind for q in problem.questions] == ["knowledge"] * 6 + ["reasoning"] * 3


@pytest.mark.parametrize("domain", [PLAIN, NARRATIVE], ids=lambda domain: str(domain.settings.style))
def test_the_oracle_says_all_there_is_to_say_and_nothing_else(domain: People) -> None:
    for problem in domain.problems("test", 30, 2):
        lines = domain.oracle(problem.material, 0).split("\n")
        truths = facts_of(problem)
        assert len(lines) == len(truths)
        said = {
            name for name in ATTRIBUTES for line in lines if line in worded(problem.material.title, name, truths[name])
        }
        assert said == set(truths)


def test_the_oracle_words_things_by_its_seed_and_reads_the_id_alone() -> None:
    material = NARRATIVE.problems("test", 1, 0)[0].material
    assert NARRATIVE.oracle(material, 0) == NARRATIVE.oracle(material, 0) != NARRATIVE.oracle(material, 1)
    blank = type(material)(material.id, "", "")
    assert PLAIN.oracle(blank, 0) == NARRATIVE.oracle(material, 0)
    for strange in ("squad-17", "people-plain-test-0-0", "people-plain-", "people-plain-zz", material.id[:-1] + "."):
        with pytest.raises(InputError, match="people world"):
            PLAIN.oracle(type(material)(strange, "", ""), 0)


def test_a_name_tells_nothing_of_split_seed_or_place() -> None:
    """With these, a method could make the whole exam anew from the name of what it is to adapt to."""
    ids = {(s, seed, p.id) for s in SPLITS for seed in (0, 1, 7**20) for p in PLAIN.problems(s, 20, seed)}
    assert len({one for _, _, one in ids}) == len(ids) == 3 * 3 * 20
    for split, seed, one in ids:
        digits = one.removeprefix("people-plain-")
        assert re.fullmatch("[0-9a-f]{16,}", digits)
        assert (split, seed) == _opened(digits)[:2]  # type: ignore[index]
    small = sorted(one for _, seed, one in ids if seed < 2)
    assert len({len(one) for one in small}) == 1
    assert len({one[13:15] for one in small}) > 40  # neighbours have nothing in common


def test_controls_are_of_two_kinds_and_about_nobody_from_a_split() -> None:
    controls = PLAIN.controls(40, 0)
    assert [question.kind for question in controls].count("seen") == 40
    assert [question.kind for question in controls].count("skill") == 40
    strangers = {name for split in SPLITS for name in names()[split]}
    assert not any(name in question.text for question in controls for name in strangers)
    known = {who.name: set(who.facts.values()) for who in seen()}
    for question in controls[:40]:
        (name,) = [name for name in known if name in question.text]
        assert set(question.answers) <= known[name]


def test_an_answer_is_right_whatever_its_case_and_marks() -> None:
    question = Question("Where was Ada Bell born?", ("Ardell",))
    assert PLAIN.grade(question, " ardell. ").correct
    assert not PLAIN.grade(question, "Brost").correct
    assert PLAIN.grade(question, "in Ardell").f1 == pytest.approx(2 / 3)


def test_every_format_shows_the_passage_and_its_own_request() -> None:
    material = NARRATIVE.problems("test", 1, 0)[0].material
    prompts = [form.prompt(material) for form in PROMPTS.formats.values()]
    assert len(set(prompts)) == len(prompts) == 7
    assert all(material.text in prompt and material.title in prompt for prompt in prompts)
    assert all(name == form.name for name, form in PROMPTS.formats.items())
    assert next(iter(PROMPTS.formats)) == "implications"


def test_too_many_people_and_unknown_settings_are_refused() -> None:
    with pytest.raises(InputError, match="names"):
        PLAIN.problems("development", 10_000, 0)
    with pytest.raises(InputError, match="seed -1"):
        PLAIN.problems("test", 1, -1)
    with pytest.raises(ValidationError):
        PeopleSettings.model_validate({"style": "verse"})
    with pytest.raises(ValidationError):
        PeopleSettings.model_validate({"stile": "plain"})


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    if not SHIPPED.is_dir():
        pytest.skip("the model is not there")
    return tokenizers.Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))


@pytest.mark.parametrize("domain", [PLAIN, NARRATIVE], ids=lambda domain: str(domain.settings.style))
def test_the_shipped_tokenizer_knows_every_word_and_gives_texts_back(domain: People, tokenizer: Any) -> None:
    unknown = tokenizer.token_to_id("<unk>")
    texts = [question.text for question in domain.controls(60, 0)]
    for split in SPLITS:
        for problem in domain.problems(split, 60, 0):
            texts += [text_of(problem), domain.oracle(problem.material, 0)]
            texts += [form.prompt(problem.material) for form in PROMPTS.formats.values()]
            texts += [PROMPTS.ask(q.text, (problem.material,)) for q in problem.questions]
    for text in texts:
        ids = tokenizer.encode(text).ids
        assert unknown not in ids, text
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
