"""Texts as the words that are compared when an answer is graded, by language.

English is cut as SQuAD v1.1's evaluation script does it (Rajpurkar et al. 2016, arXiv 1606.05250): lower case, without
the ASCII punctuation and without *a*, *an*, *the*; whatever else Unicode has stays as it is, so that figures can be
held beside published ones.

All other languages follow MLQA's script (Lewis et al. 2020, arXiv 1910.07475), which drops every Unicode punctuation
mark and the language's own articles, and takes each Chinese character as a word. Three things are wider than there:
compatible forms are one (NFKC: full-width digits, composed and decomposed letters), Arabic vowel signs and the
lengthening stroke are dropped, and Japanese, Korean and Thai letters are words as well, as Chinese ones are: Korean
because its particles stick to the word before them.
"""

import re
import string
import sys
import unicodedata
from functools import cache
from typing import Annotated

from pydantic import AfterValidator

_LETTERS_AS_WORDS = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uac00-\ud7a3\U00020000-\U0003134f])"
)
_ELIDED = ("fr", "it")  # an apostrophe parts two words, the first of which may be an article
_VOWEL_SIGNS = re.compile("[\u0640\u064b-\u065f\u0670]")
# The articles that are dropped; as in MLQA for ar, de, en, es, hi, vi and zh. In Arabic they are letters, not a word.
ARTICLES: dict[str, str] = {
    "ar": "ال",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "fr": "un une des le la les l",
    "hi": "",
    "it": "un uno una il lo la i gli le l",
    "ja": "",
    "ko": "",
    "nl": "een de het",
    "pl": "",
    "pt": "um uma uns umas o a os as",
    "ru": "",
    "th": "",
    "tr": "",
    "uk": "",
    "vi": "của là cái chiếc những",
    "zh": "",
}


def _known(language: str) -> str:
    if language not in ARTICLES:
        raise ValueError(f"{language!r} is none of {', '.join(ARTICLES)}: how its words are compared is not known")
    return language


Language = Annotated[str, AfterValidator(_known)]  # a domain's setting


def words(text: str, language: str = "en") -> tuple[str, ...]:
    """The words of a text that count, in order; none where it holds only articles and punctuation.

    Raises KeyError for a language that is none of :data:`ARTICLES`.
    """
    articles = _articles(language)
    if language == "en":
        return tuple(articles.sub(" ", text.lower().translate(_punctuation(ascii_only=True))).split())
    text = unicodedata.normalize("NFKC", text).lower()
    if language in _ELIDED:
        text = re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", " ", text)
    if language == "ar":
        text = _VOWEL_SIGNS.sub("", text)
    text = articles.sub(" ", text.translate(_punctuation(ascii_only=False)))
    return tuple(_LETTERS_AS_WORDS.sub(r" \1 ", text).split())


@cache
def _articles(language: str) -> re.Pattern[str]:
    listed = ARTICLES[language]
    if language == "ar":
        return re.compile(listed)
    return re.compile(rf"\b({'|'.join(listed.split())})\b" if listed else r"(?!)")


@cache
def _punctuation(*, ascii_only: bool) -> dict[int, None]:
    marks = {ord(mark): None for mark in string.punctuation}
    if not ascii_only:
        marks |= {c: None for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)).startswith("P")}
    return marks
