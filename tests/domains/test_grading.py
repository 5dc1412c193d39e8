"""Answers are graded as SQuAD v1.1 grades them, by what they contain, and in other languages as MLQA does."""

import pytest

from netgain.domains.grading import check_answer, contains, decided_by, f1, grade
from netgain.domains.languages import ARTICLES, words
from netgain.domains.problem import Grade, GradeName, Question
from netgain.errors import InputError


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Denver Broncos.", "denver broncos"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("24–10", "24–10"),  # the published script knows ASCII punctuation only
        ("Rosa’s mill", "rosa’s mill"),
        ("Rosa's mill", "rosas mill"),
        ("U.S.A.", "usa"),
        ("$1,200.50", "120050"),
        ("-5 °C", "5 °c"),
        ("１２", "１２"),  # and no compatible forms
        ("\u00a0The\u2003mill\u3000", "mill"),
        ("the", ""),
        ("A a-an the?", "aan"),
        ("Ünder THE Straße", "ünder straße"),
        ("?!", ""),
    ],
)
def test_english_is_cut_into_words_as_squads_script_cuts_it(text: str, plain: str) -> None:
    assert " ".join(words(text)) == plain


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("zh", "北京大学（1898年）", "北 京 大 学 1898 年"),
        ("zh", "约翰·Smith 先生", "约 翰 smith 先 生"),
        ("zh", "１２ 个", "12 个"),
        ("ja", "東京タワー", "東 京 タ ワ ー"),
        ("ko", "서울은 2002년", "서 울 은 2002 년"),
        ("th", "กรุงเทพ", "ก ร ุ ง เ ท พ"),
        ("ar", "الكتاب، الجديد", "كتاب جديد"),
        ("ar", "مُحَمَّد", "محمد"),
        ("ar", "كتـــاب", "كتاب"),
        ("de", "Die „alte“ Mühle – der Stadt", "alte mühle stadt"),
        ("es", "¿Los gatos?", "gatos"),
        ("fr", "l’eau de la rivière", "eau de rivière"),
        ("it", "dell'acqua", "dell acqua"),
        ("vi", "cu\u0309a Hà Nội", "hà nội"),  # decomposed letters are the same letters
        ("hi", "ताज महल।", "ताज महल"),
        ("ru", "«Война и мир»", "война и мир"),
    ],
)
def test_other_languages_have_other_articles_and_borders(language: str, text: str, expected: str) -> None:
    assert words(text, language) == tuple(expected.split())


def test_a_letters_marks_are_one_with_it_however_they_are_written() -> None:
    for language in sorted(ARTICLES.keys() - {"en"}):
        assert words("Caf\u00e9 12", language) == words("Cafe\u0301 １２", language)


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("Denver Broncos", "the Denver Broncos", 1.0),
        ("Broncos", "Denver Broncos", 2 / 3),
        ("the big big cat", "big cat", 4 / 5),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "", 0.0),
    ],
)
def test_f1_is_over_words_and_each_word_counts_once(answer: str, reference: str, value: float) -> None:
    assert f1(answer, reference) == pytest.approx(value)


def test_f1_of_chinese_is_over_characters() -> None:
    assert f1("北京大学", "北京", "zh") == pytest.approx(2 / 3)
    assert f1("北京大学", "北京") == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "language", "inside"),
    [
        ("It was designed by Edith Vance in 1871.", "Edith Vance", "en", True),
        ("Vance, Edith", "Edith Vance", "en", False),
        ("10", "1", "en", False),
        ("1 of them", "1", "en", True),
        ("the category", "cat", "en", False),
        ("near the river Tarn", "the Tarn", "en", True),
        ("Edith the Vance", "Edith Vance", "en", True),  # articles count nowhere
        ("Edith", "Edith Vance", "en", False),
        ("", "Edith", "en", False),
        ("anything", "the", "en", False),
        ("", "", "en", False),
        ("它在北京大学旁边", "北京", "zh", True),
        ("1898年", "189", "zh", False),
        ("서울은", "서울", "ko", True),
        ("في الكتاب", "كتاب", "ar", True),
    ],
)
def test_an_answer_contains_a_run_of_whole_words(answer: str, reference: str, language: str, inside: bool) -> None:
    assert contains(answer, reference, language) is inside


def test_the_best_over_all_reference_answers_counts() -> None:
    question = Question("Who?", ("Carolina Panthers", "the Denver Broncos", "Denver"))
    assert grade(question, "denver broncos!") == Grade(True, 1.0, contains=True)
    assert grade(question, "Broncos of Denver") == Grade(False, pytest.approx(0.8), contains=True)
    assert grade(question, "Broncos") == Grade(False, pytest.approx(2 / 3), contains=False)
    assert grade(question, "") == Grade(False, 0.0, contains=False)
    assert grade(Question("Who?", ()), "anyone") == Grade(False, 0.0, contains=False)


def test_an_answer_without_a_word_agrees_with_nothing() -> None:
    for answer in ("", "The", "?", "anything"):
        assert grade(Question("Who?", ("The", "?")), answer) == Grade(False, 0.0, contains=False)


@pytest.mark.parametrize(("name", "score"), [("exact", 0.0), ("contains", 1.0), ("f1", 0.4), ("judge", 0.0)])
def test_one_grade_decides_and_the_others_stand_beside_it(name: GradeName, score: float) -> None:
    found = decided_by(name, grade)(Question("Who?", ("Edith",)), "Edith of the old mill")
    assert (found.exact, found.contains, found.f1, found.score) == (
        False,
        True,
        pytest.approx(0.4),
        pytest.approx(score),
    )
    assert found.correct is (name == "contains")


def test_from_an_f1_of_one_half_on_an_answer_counts_as_right() -> None:
    assert [Grade(False, value, decides="f1").correct for value in (0.49, 0.5, 1.0)] == [False, True, True]


def test_where_the_judge_says_nothing_exact_match_stands() -> None:
    assert [Grade(True, 1.0, judged=said, decides="judge").score for said in (None, False, True)] == [1.0, 0.0, 1.0]


def test_what_a_domains_own_grader_does_not_say_is_looked_up() -> None:
    def own(question: Question, answer: str) -> Grade:
        return Grade(answer == "twelve", 0.0)

    decided = decided_by("contains", own)
    assert [decided(Question("How many?", ("12",)), said).score for said in ("twelve", "12 of them", "112")] == [
        1,
        1,
        0,
    ]


@pytest.mark.parametrize(("answer", "language"), [("The", "en"), ("?", "zh"), ("der", "de"), (" ", "en")])
def test_an_accepted_answer_without_a_word_is_refused_at_its_place(answer: str, language: str) -> None:
    with pytest.raises(InputError, match=r"^notes\.md:7: the accepted answer .* has no word left"):
        check_answer(answer, language, "notes.md:7")


def test_whether_an_answer_has_a_word_is_its_languages_to_say() -> None:
    assert check_answer("A", "de", "x") == "A"
    assert check_answer("Das", "en", "x") == "Das"
