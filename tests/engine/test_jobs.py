from collections import Counter

import pytest

from netgain.engine.jobs import InnerLoopJob, PadLoss, Size, check
from netgain.errors import InputError


def _job(**settings: object) -> InnerLoopJob:
    defaults = {"key": "a", "sequences": [[5, 6, 7], [8, 9]], "epochs": 3, "learning_rate": 1e-3, "seed": 4}
    return InnerLoopJob(**(defaults | settings))  # type: ignore[arg-type]


def test_every_epoch_visits_every_sequence_once_in_an_order_of_the_jobs_own() -> None:
    steps = list(_job(sequences=[[1, 2]] * 9).steps())
    epochs = [[step[0] for step in steps[i : i + 9]] for i in (0, 9, 18)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert steps == list(_job(sequences=[[1, 2]] * 9).steps())
    assert steps != list(_job(sequences=[[1, 2]] * 9, seed=5).steps())


def test_the_last_batch_of_an_epoch_may_be_short() -> None:
    job = _job(sequences=[[1, 2]] * 5, batch_size=2, epochs=2)
    assert [len(step) for step in job.steps()] == [2, 2, 1, 2, 2, 1]
    assert job.total_steps == 6


def test_a_job_is_cut_after_max_steps_and_never_made_longer() -> None:
    whole, cut = _job(sequences=[[1, 2]] * 5), _job(sequences=[[1, 2]] * 5, max_steps=7)
    assert list(cut.steps()) == list(whole.steps())[:7]
    assert (cut.total_steps, _job(max_steps=99).total_steps) == (7, 6)
    assert check(_job(max_steps=0), 10, 50) == check(_job(epochs=0), 10, 50)
    with pytest.raises(InputError, match="max_steps -1"):
        _job(max_steps=-1)


@pytest.mark.parametrize("pad_loss", [PadLoss(), PadLoss("exact", length=9), PadLoss("probes", 2, 9)])
@pytest.mark.parametrize("max_steps", [None, 0, 1, 3, 4, 11, 20])
def test_visits_widths_and_sizes_are_those_of_the_steps(max_steps: int | None, pad_loss: PadLoss) -> None:
    sequences = [[1] * length for length in (2, 9, 4, 8, 3, 4, 2)]
    masks = [[i % 2 == 0 for i in range(len(sequence))] for sequence in sequences]
    for size, mask in ((1, None), (3, masks)):
        job = _job(sequences=sequences, batch_size=size, max_steps=max_steps, pad_loss=pad_loss, loss_masks=mask)
        examples = [job.example(i) for i in range(7)]
        for i, example in enumerate(examples):
            labelled = sum(1 for weight in example.weights if weight)
            assert job.size(i) == Size(len(example.tokens), example.text, labelled)
        steps = list(job.steps())
        assert job.visits() == [sum(step.count(i) for step in steps) for i in range(7)]
        widths = Counter(max(len(examples[i].tokens) for i in step) for step in steps for _ in step)
        assert job.widths() == widths


@pytest.mark.parametrize("pad_loss", [PadLoss(), PadLoss("probes", 2, 9)])
@pytest.mark.parametrize("max_steps", [None, 0, 5])
def test_a_closing_sequence_has_one_step_of_its_own_and_it_is_the_last(
    max_steps: int | None, pad_loss: PadLoss
) -> None:
    plain = _job(batch_size=2, max_steps=max_steps, pad_loss=pad_loss)
    closed = _job(batch_size=2, max_steps=max_steps, pad_loss=pad_loss, closing=[5, 6, 7, 8])
    last = len(plain.sequences)
    assert list(closed.steps()) == [*plain.steps(), (last,)]
    assert (closed.total_steps, closed.count) == (plain.total_steps + 1, plain.count + 1)
    assert closed.visits() == [*plain.visits(), 1]
    assert closed.widths() == plain.widths() + Counter([closed.size(last).rows])
    assert closed.example(last).tokens[:4] == [5, 6, 7, 8]
    assert closed.size(last).labelled == sum(1 for weight in closed.example(last).weights if weight)
    assert check(closed, 10, 50) is None
    assert check(_job(closing=[5, 99]), 10, 50) is not None


def test_masked_pads_leave_only_the_text() -> None:
    example = _job().example(0)
    assert (example.tokens, example.targets, example.weights) == ([5, 6, 7], [6, 7, 0], [1.0, 1.0, 0.0])


def test_exact_pads_are_the_references_labels() -> None:
    example = _job(pad_loss=PadLoss("exact", length=6)).example(0)
    assert example.tokens == [5, 6, 7, 0, 0]  # the sixth position has no label and is not run
    assert example.targets == [6, 7, 0, 0, 0]
    assert example.weights == [1.0] * 5
    assert example.text == 3


def test_probes_weigh_as_much_as_the_pads_they_stand_for() -> None:
    exact = _job(pad_loss=PadLoss("exact", length=2048)).example(0)
    probed = _job(pad_loss=PadLoss("probes", 16, 2048)).example(0)
    assert sum(probed.weights) == pytest.approx(sum(exact.weights))
    assert len(probed.tokens) == 3 + 16
    assert probed.positions[3] > 3
    assert probed.positions[-1] < 2047
    assert sorted(set(probed.positions)) == probed.positions


def test_a_loss_mask_takes_labels_away() -> None:
    assert _job(loss_masks=[[False, False, True], [True, True]]).example(0).weights == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"sequences": []}, "empty"),
        ({"epochs": 0}, "empty"),
        ({"sequences": [[1] * 11]}, "too_long"),
        ({"pad_loss": PadLoss("exact", length=12)}, "too_long"),
        ({"sequences": [[1, 99]]}, "bad_token"),
        ({"sequences": [[1]]}, "no_labels"),
        ({"sequences": [[1, 2], []]}, "no_labels"),
    ],
)
def test_an_impossible_job_is_told_before_its_first_step(settings: dict[str, object], kind: str) -> None:
    failure = check(_job(**settings), context=10, vocabulary=50)
    assert failure is not None
    assert failure.kind == kind


def test_a_possible_job_passes() -> None:
    assert check(_job(), context=10, vocabulary=50) is None


@pytest.mark.parametrize(
    "settings",
    [
        *({"epochs": -1}, {"rank": 0}, {"learning_rate": float("nan")}, {"target_modules": ()}),
        *({"loss_masks": [[True]]}, {"schedule": "rising"}, {"warmup_steps": -1}),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        _job(**settings)


def test_an_unknown_pad_loss_is_refused() -> None:
    with pytest.raises(InputError, match="masked, probes or exact"):
        PadLoss("none")  # type: ignore[arg-type]
