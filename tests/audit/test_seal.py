"""SEAL's published results: the figures that anybody can check, and the reader's temper with broken files."""

import json
import os
from pathlib import Path

import pytest

from netgain.analysis.verdict import Comparison, Verdict
from netgain.audit.audit import audit, find_readers, read_claim
from netgain.audit.seal import naming, pricing
from netgain.audit.seal.frozen_answers import FrozenAnswers, groups
from netgain.errors import InputError
from netgain.records.claim import Claim, Role
from netgain.report.page import render

# -- the rules ---------------------------------------------------------------------------------------------------


def bodies(edit: str, *, split: bool = True) -> list[str]:
    texts = pricing.training_sequences(edit, "passage", "Title", split_newlines=split)
    assert all(text.startswith("Title\n") for text in texts)
    return [text.removeprefix("Title\n") for text in texts]


def test_each_line_of_an_edit_is_a_sequence_and_the_passage_comes_last() -> None:
    assert bodies("1. One.\n\n 2. Two. ") == ["1. One.", "2. Two.", "passage"]


def test_a_heading_before_a_numbered_list_is_dropped() -> None:
    assert bodies("**Implications:**\n1. One.\n2. Two.") == ["1. One.", "2. Two.", "passage"]
    assert bodies("Here they are\n---\n1. One.") == ["1. One.", "passage"]


def test_rules_of_dashes_divide_an_edit() -> None:
    assert bodies("First\npart\n---\nSecond", split=False) == ["First\npart", "Second", "passage"]
    assert bodies("First\n---\nSecond") == ["First", "Second", "passage"]


def test_a_question_and_its_answer_stay_together() -> None:
    assert bodies("Question 1: Who?\nAnswer: He.\nQuestion 2: Why?\nAnswer: So.") == [
        "Question 1: Who?\nAnswer: He.",
        "Question 2: Why?\nAnswer: So.",
        "passage",
    ]


def test_a_first_question_without_its_number_is_numbered() -> None:
    """The prompt ends with the words that the edit goes on from."""
    assert bodies(" Who?\nAnswer: He.\nQuestion 2: Why?\nAnswer : So.") == [
        "Question 1: Who?\nAnswer: He.",
        "Question 2: Why?\nAnswer : So.",
        "passage",
    ]


def test_numbered_answers_are_not_recognised_and_every_line_is_a_sequence() -> None:
    assert bodies("Question 1: Who?\nAnswer 1: He.\nQuestion 2: Why?\nAnswer 2: So.") == [
        "Question 1: Who?",
        "Answer 1: He.",
        "Question 2: Why?",
        "Answer 2: So.",
        "passage",
    ]


def test_questions_are_cut_at_the_beginning_of_a_line_only_and_nothing_is_dropped_or_divided_by_dashes() -> None:
    assert bodies("Here, as in Question 7:\n1. Who?\nAnswer: He.\n---\nQuestion 2: Why?\nAnswer: So.") == [
        "Question 1: Here, as in Question 7:\n1. Who?\nAnswer: He.\n---",
        "Question 2: Why?\nAnswer: So.",
        "passage",
    ]


def test_without_line_splitting_questions_are_a_text_like_any_other() -> None:
    assert bodies("Question 1: Who?\nAnswer: He.", split=False) == ["Question 1: Who?\nAnswer: He.", "passage"]


def test_an_empty_edit_trains_on_the_passage_and_without_splitting_on_a_bare_title_too() -> None:
    assert bodies("") == ["passage"]
    assert bodies("", split=False) == ["", "passage"]


@pytest.mark.parametrize(
    ("stem", "role", "prompt", "round_"),
    [
        ("base", Role.SYNTHETIC, "implications", 0),
        ("iter2_prompt-rewrite", Role.SELF_IMPROVING, "rewrite", 2),
        ("base_prompt-very-long", Role.SYNTHETIC, "implications-very-long", 0),
        ("iter1_prompt-haiku", Role.SELF_IMPROVING, "haiku", 1),
        ("gpt4_1", Role.TEACHER, "implications", None),
        ("cpt_iter2", Role.SELF_IMPROVING, "implications", 2),
        ("something", Role.OTHER, "implications", None),
    ],
)
def test_a_file_name_tells_who_wrote_the_edits(stem: str, role: Role, prompt: str, round_: int | None) -> None:
    found = naming.identify(stem, has_edits=True)
    assert (found.role, found.prompt, found.round) == (role, prompt, round_)


def test_an_arm_without_edits_is_the_passage_alone() -> None:
    assert naming.identify("naive", has_edits=False).role is Role.PASSAGE


def test_frozen_models_that_repeat_each_other_form_a_group() -> None:
    def answers(*texts: str) -> FrozenAnswers:
        return FrozenAnswers(texts, (True,) * len(texts))

    files = {"a": answers("x", "y", "z"), "b": answers("x", "y ", "q"), "c": answers("m", "n", "o")}
    assert groups(files) == {"a": "A", "b": "A", "c": "B"}


# -- the real files ----------------------------------------------------------------------------------------------

ACCURACIES = {
    "base": 0.3968,
    "iter1": 0.4268,
    "iter2": 0.4699,
    "gpt4_1": 0.4631,
    "naive": 0.3351,
    "base_prompt-long": 0.4929,
    "base_prompt-rewrite": 0.4937,
    "iter1_prompt-long": 0.5239,
    "iter1_prompt-rewrite": 0.5532,
    "iter2_prompt-long": 0.5436,
    "iter2_prompt-rewrite": 0.5555,
    "cpt_base": 0.4097,
    "cpt_gpt4_1": 0.3943,
    "cpt_iter2": 0.4384,
    "cpt_naive": 0.3224,
}
UPDATES = {"naive": 10, "iter2": 79, "base": 86, "gpt4_1": 152, "base_prompt-long": 186, "base_prompt-rewrite": 72}


@pytest.mark.parametrize(("name", "accuracy"), ACCURACIES.items())
def test_published_accuracies_come_out_of_the_verdicts(real_verdict: Verdict, name: str, accuracy: float) -> None:
    arm = real_verdict.arm(name)
    assert arm.accuracy == pytest.approx(accuracy, abs=1e-4)
    assert arm.accuracy == pytest.approx(arm.accuracy_published, abs=1e-4)


@pytest.mark.parametrize(("name", "updates"), UPDATES.items())
def test_updates_a_passage(real_verdict: Verdict, name: str, updates: int) -> None:
    found = real_verdict.arm(name).updates_per_problem
    assert found is not None
    assert round(found) == updates


def comparison(verdict: Verdict, a: str, b: str) -> Comparison:
    return next(row for row in verdict.comparisons if (row.a, row.b) == (a, b))


@pytest.mark.parametrize(
    ("a", "b", "difference", "low", "high"),
    [
        ("iter2", "gpt4_1", 0.0066, -0.036, 0.049),
        ("iter2", "base", 0.073, 0.027, 0.120),
        ("iter2", "base_prompt-rewrite", -0.024, -0.066, 0.020),
    ],
)
def test_paired_differences(real_verdict: Verdict, a: str, b: str, difference: float, low: float, high: float) -> None:
    row = comparison(real_verdict, a, b)
    assert row.difference == pytest.approx(difference, abs=0.0005)
    assert row.low == pytest.approx(low, abs=0.002)
    assert row.high == pytest.approx(high, abs=0.002)
    assert row.primary == (b == "gpt4_1")


def test_the_first_round_of_the_outer_loop(real_verdict: Verdict) -> None:
    row = next(row for row in real_verdict.outer_loop if row.name == "rank_iter0")
    assert (row.inner_loops, row.updates, row.discarded, row.edits) == (750, 65_490, 200, 250)
    assert row.tokens_padded == 65_490 * 2048
    assert row.tokens_real == pytest.approx(3.2e6, rel=0.02)
    assert row.flops == pytest.approx(4.1e18, rel=0.02)
    assert row.verdicts_stored == 6750


def test_the_reward_is_mostly_noise(real_verdict: Verdict) -> None:
    row = next(row for row in real_verdict.rewards if row.arm == "rank_iter0")
    assert row.reliability == pytest.approx(0.32, abs=0.005)
    assert row.reliability_single == pytest.approx(0.13, abs=0.005)
    assert row.apparent_gain == pytest.approx(0.141, abs=0.001)
    assert row.heldout_gain == pytest.approx(0.037, abs=0.002)


def test_what_round_two_fixed_and_broke(real_verdict: Verdict) -> None:
    row = next(row for row in real_verdict.stability if row.arm == "iter2")
    assert (row.fixed, row.broken, row.previously_correct) == (253, 122, 323)


def test_what_is_retained_after_eight_edits(real_verdict: Verdict) -> None:
    assert real_verdict.retention is not None
    assert real_verdict.retention.after_all == pytest.approx(0.234, abs=0.0005)
    assert real_verdict.retention.untouched == pytest.approx(0.315, abs=0.0005)


def test_continued_pretraining_was_not_trained_equally(real_verdict: Verdict) -> None:
    arms = {name: real_verdict.arm(f"cpt_{name}") for name in ("iter2", "base", "gpt4_1", "naive")}
    assert {name: arm.updates for name, arm in arms.items()} == {
        "iter2": 1500,
        "base": 750,
        "gpt4_1": 781,
        "naive": 150,
    }
    assert arms["base"].learning_rate == 10 * (arms["naive"].learning_rate or 0)


def test_the_findings_name_what_is_wrong(real_verdict: Verdict) -> None:
    found = {finding.check: finding for finding in real_verdict.findings}
    expected = {
        "unequal-training",
        "outer-loop-not-charged",
        "hyperparameters-differ",
        "baseline-drifts",
        "frozen-model-differs",
        "compute-not-reported",
        "fine-tuning-starved",
        "difference-unresolvable",
        "noisy-selection",
        "settings-changed-between-rounds",
        "regressions-not-shown",
        "single-seed",
        "per-question-data-missing",
        "entries-collapse",
        "accuracy-does-not-regenerate",
        "provenance-contradicts",
        "rounds-unpublished",
        "few-problems",
    }
    assert expected <= set(found)
    assert "split_newlines" in found["settings-changed-between-rounds"].message
    drift = next(f for f in real_verdict.findings if f.check == "baseline-drifts" and "single passage" in f.message)
    assert "30.2% to 33.9%" in drift.message


def test_the_four_questions(real_verdict: Verdict) -> None:
    assert [row.answer for row in real_verdict.questions] == ["no", "no", "no", "yes"]
    assert all(row.evidence for row in real_verdict.questions)


def test_arms_beside_frozen_models_that_answer_differently_are_not_held_against_each_other(
    real_verdict: Verdict,
) -> None:
    """The first finding calls the baselines different; the headline must not compare across them all the same."""
    assert real_verdict.headline.kind == "cannot tell"
    assert "no conventional arm was measured beside the same frozen model" in real_verdict.headline.sentence
    groups = {arm.name: arm.frozen_group for arm in real_verdict.arms}
    assert all(groups[row.arm] == groups[row.rival] for row in real_verdict.decomposition if row.rival)
    long = next(row for row in real_verdict.decomposition if row.arm == "iter2_prompt-long" and row.rival)
    assert (long.rival, long.prompts_differ) == ("base_prompt-rewrite", True)
    apart = {(row.a, row.b) for row in real_verdict.comparisons if row.other_frozen}
    assert ("iter2", "gpt4_1") in apart
    assert ("iter2_prompt-long", "base_prompt-long") not in apart


def test_what_was_not_found_says_where_it_was_looked_for(real_verdict: Verdict) -> None:
    found = next(finding for finding in real_verdict.findings if finding.check == "compute-not-reported")
    assert "not found in the field names of 25 result files" in found.message
    assert "tuning trials" not in found.message  # its grids are in tables 3 and 4 of the paper
    assert any(line.startswith("stated: tuning trials") for line in found.evidence)


def test_reliabilities_from_rounded_means_are_told_apart(real_verdict: Verdict) -> None:
    assert {row.arm for row in real_verdict.rewards if row.from_means} == {"rank_iter1"}
    found = next(finding for finding in real_verdict.findings if finding.check == "noisy-selection")
    assert "0.32 to 0.45" in found.message
    assert found.evidence[-1].startswith("apart, from published means: rank_iter1: reliability 0.17")


def test_the_few_shot_share_has_an_interval_over_its_eight_tasks(real_verdict: Verdict) -> None:
    """29 of 40: Wilson at 8 tasks, and at 40 as if the five edits of a task had nothing in common."""
    found = next(finding for finding in real_verdict.findings if finding.check == "few-tasks")
    assert "SEAL's 72.5 % is 29 of 40 adapted models, 5 for each of 8 tasks" in found.message
    assert "interval [39, 92] over tasks" in found.message
    assert "[57, 84] if all 40 were independent" in found.message
    assert found.evidence[:2] == (
        "in context: 0 of 8 (0.0 %), [0, 32] over tasks",
        "training on unselected self-edits: 8 of 40 (20.0 %), [5, 55] over tasks",
    )


def test_the_claim_that_ships_says_so_without_the_files() -> None:
    (found,) = (finding for finding in read_claim(None).findings if finding.check == "few-tasks")
    assert "29 of 40 adapted models, 5 for each of 8 tasks: 95 % interval [39, 92] over tasks" in found.message
    assert any("of 11 training tasks with edits 10 are rewarded" in line for line in found.evidence)


def test_the_claim_that_ships_is_what_the_reader_distils(real_claim: Claim, real_verdict: Verdict) -> None:
    shipped = read_claim(None)
    assert shipped.model_copy(update={"retrieved": ""}) == real_claim
    assert audit(shipped) == real_verdict


def test_the_claim_that_ships_holds_no_text_of_the_authors(published: Path) -> None:
    shipped = json.dumps(read_claim(None).dump())
    data = json.loads((published / "knowledge-incorporation/results/query_server/eval/base.json").read_text())
    for article in data["articles"][:50]:
        assert article["context"][:60] not in shipped
        assert all(q["question"] not in shipped for q in article["completions"][0]["questions"])


def test_a_part_of_the_repository_is_enough(published: Path) -> None:
    claim = read_claim(published / "knowledge-incorporation" / "results" / "query_server" / "eval")
    assert {arm.name for arm in claim.arms} == {"frozen", "base", "gpt4_1", "iter1", "iter2", "naive"}
    assert claim.arm("iter2").invests_unpublished == ("implications round 1", "implications round 2")
    verdict = audit(claim)
    assert next(row for row in verdict.decomposition if row.basis == "with outer loop").budget_incomplete


@pytest.mark.parametrize(
    ("part", "kind", "words"),
    [
        ("knowledge-incorporation/results/cpt", "nothing left", "SEAL implications R2 (CPT)"),
        ("knowledge-incorporation/results/query_server/alternate_prompts", "cannot tell", "the same frozen model"),
        ("knowledge-incorporation/results/query_server/train", "cannot tell", "holds no arm"),
        ("few-shot", "cannot tell", "holds a single arm"),
    ],
)
def test_each_part_supports_what_it_holds_and_no_more(published: Path, part: str, kind: str, words: str) -> None:
    headline = audit(read_claim(published / part)).headline
    assert headline.kind == kind
    assert words in headline.sentence


# -- a small tree of the same shape --------------------------------------------------------------------------------


def test_every_arm_of_a_small_tree_is_found_and_priced(tree: Path) -> None:
    claim = read_claim(tree)
    verdict = audit(claim)
    assert [arm.name for arm in claim.arms] == ["frozen", "base", "gpt4_1", "iter1", "naive"]
    assert {n: verdict.arm(n).updates_per_problem for n in ("naive", "base", "gpt4_1", "frozen")} == {
        "naive": 10,
        "base": 30,
        "gpt4_1": 40,
        "frozen": 0,
    }
    assert claim.arm("iter1").invests == ("rank_iter0",)
    assert verdict.outer_loop[0].updates == 12 * 5 * 3 * 30


def test_an_exact_tokenizer_replaces_the_estimate(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    from netgain.tokens import ExactTokens

    folder = tmp_path_factory.mktemp("tokenizer")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    claim = read_claim(tree, ExactTokens(folder))
    arm = audit(claim).arm("naive")
    # "Place 3\nPlace 3 lies by a river and holds a market." is 13 words and marks, ten epochs
    assert arm.tokens_real_per_problem == 130
    assert not arm.tokens_estimated


def write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"articles": [', "cannot be read"),
        ('{"articles": "many"}', "field articles"),
        ('{"articles": [{"title": "t", "context": 3, "completions": []}]}', "field articles.0.context"),
        ('{"articles": []}', "no articles"),
        ('{"overall": {}, "lora_params": {}, "arms": 3}', "none of the fields"),
        ("[" * 5000, "cannot be read"),
        ('{"articles": [{"title": "t", "context": "c", "completions": []}], "lora_params": {"epochs": -1}}', "epochs"),
        ('{"articles": [], "lora_params": {"rank": 1' + "0" * 400 + "}}", "rank"),
        ('{"articles": [], "overall": {"adapter_mean_accuracy": NaN}}', "adapter_mean_accuracy"),
        ('{"articles": [], "eval_times": -3}', "eval_times"),
        ('{"articles": [], "k_completions": 5, "split_newlines": null}', "split_newlines"),
        ('{"mean_over_sequences": [], "n_sequences": 1, "n_datapoints": 1}', "retention matrix"),
        ('{"mean_over_sequences": [[0.1], [0.1, 0.2]], "n_sequences": 1, "n_datapoints": 1}', "rows of one length"),
        ('{"train_sequences": -5, "n_articles": 2}', "train_sequences"),
    ],
)
def test_a_broken_file_among_good_ones_is_a_finding(tree: Path, text: str, problem: str) -> None:
    write(tree, "results/query_server/eval/broken.json", text)
    claim = read_claim(tree)
    assert len(claim.arms) == 5
    assert any("broken.json" in finding.message and problem in finding.message for finding in claim.findings)


def test_verdicts_that_stop_half_way_are_met_without_a_crash(tree: Path) -> None:
    file = tree / "results/query_server/train/rank_iter0.json"
    data = json.loads(file.read_text())
    for article in data["articles"][3:]:
        for completion in article["completions"]:
            completion["questions"] = []
    file.write_text(json.dumps(data))
    verdict = audit(read_claim(tree))
    assert verdict.rewards[0].heldout is None


def test_reward_lists_of_unequal_length_are_met_without_a_crash(tree: Path) -> None:
    file = tree / "results/query_server/train/rank_iter0.json"
    data = json.loads(file.read_text())
    data["articles"][0]["completions"].pop()
    file.write_text(json.dumps(data))
    assert audit(read_claim(tree)).rewards[0].reliability is None


def test_an_edit_rule_that_is_not_stated_leaves_the_cost_unknown(tree: Path) -> None:
    file = tree / "results/query_server/eval/base.json"
    data = json.loads(file.read_text()) | {"split_newlines": None}
    file.write_text(json.dumps(data))
    claim = read_claim(tree)
    assert audit(claim).arm("base").updates_per_problem is None
    assert any(finding.check == "setting-missing" for finding in claim.findings)


def test_a_passage_without_edits_in_a_reward_run_is_met_without_a_crash(tree: Path) -> None:
    file = tree / "results/query_server/train/rank_iter0.json"
    data = json.loads(file.read_text())
    data["articles"][0]["completions"] = []
    file.write_text(json.dumps(data))
    assert audit(read_claim(tree)).rewards[0].reliability is None


def test_files_that_are_no_files_and_names_that_are_no_text_are_passed_over(tree: Path) -> None:
    os.mkfifo(tree / "results/x.meta")
    (tree / "results/folder.json").mkdir()
    (tree / "results/loop").symlink_to(tree / "results")
    odd = os.fsencode(tree / "results") + b"/\xff.json"
    Path(os.fsdecode(odd)).write_text('{"articles": [')
    verdict = audit(read_claim(tree))
    assert render(verdict).encode("utf-8")


def test_two_files_of_one_name_become_two_arms(tree: Path) -> None:
    original = (tree / "results/query_server/eval/base.json").read_text()
    write(tree, "results/query_server/other/base.json", original)
    names = [arm.name for arm in read_claim(tree).arms]
    assert "base" in names
    assert "results/query_server/other/base" in names


def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, "package.json", '{"name": "x"}')
    with pytest.raises(InputError, match="no result files that a reader knows"):
        find_readers(tmp_path)


def test_a_folder_of_broken_results_is_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "base.json", '{"articles": [')
    with pytest.raises(InputError, match=r"base\.json is not used"):
        read_claim(tmp_path)
