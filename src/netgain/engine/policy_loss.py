"""Policy-gradient losses: clipped ratios times advantages and the divergence from a reference, as functions of the
log-probabilities of the labelled tokens alone.

So both backends train by them as they train by cross-entropy: what the loss says of each token's log-probability scales
the gradient that the token would have had. Sources: Schulman et al. 2017 (arXiv 1707.06347), equation 7, for the clip;
Shao et al. 2024 (arXiv 2402.03300), equations 3 and 4, for groups and the estimate of the divergence; Liu et al. 2025
(arXiv 2503.20783) for ``dr_grpo``; Ahmadian et al. 2024 (arXiv 2402.14740) for whole answers as actions. Losses and
gradients are those of TRL's ``GRPOTrainer`` and ``RLOOTrainer`` (``tests/engine/test_policy_loss.py``).
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from netgain.engine.jobs import Example, PolicyLoss


@final
class PolicyTerms:
    """What a pack's labelled rows are learnt by: tensors [n], a step's rows one behind the other.

    ``sequence`` numbers the sequences of the pack; ``scale`` weights a row within its step's loss. ``clipped`` [G] is
    filled in by the pass: the share of each step's rows whose ratio was beyond the clip and so taught nothing.
    """

    def __init__(
        self,
        settings: PolicyLoss,
        steps: Sequence[Sequence[Example]],
        labelled: Sequence[int],
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        self.settings, self._dtype, self._device = settings, dtype, device
        examples = [example for step in steps for example in step]
        self._counts = torch.tensor(labelled, dtype=torch.int64, device=device)
        self.sequence = torch.repeat_interleave(torch.arange(len(labelled), device=device), self._counts)
        given = [example.advantage for example in examples]
        tokens = [token for one in given if not isinstance(one, float | int) for token in one]
        whole = [float(one) for one in given if isinstance(one, float | int)]
        self._advantages = self._each(tokens) if settings.each else self._rows(whole)
        self._old = self._each([token for example in examples for token in example.old])
        self._reference = self._each([token for example in examples for token in example.reference])
        self._scale = self._rows(list(_scales(settings, steps, labelled)))
        self._group = torch.tensor(
            [group for group, step in enumerate(steps) for _ in step], dtype=torch.int64, device=device
        )
        self.clipped = torch.zeros(len(steps), dtype=dtype, device=device)
        self._labels = torch.zeros_like(self.clipped).index_add_(0, self._group, self._counts.to(dtype))

    def _rows(self, values: list[float]) -> Tensor:
        """One value a sequence, for each of its rows."""
        return self._each(values)[self.sequence]

    def _each(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    def chunks(self, rows: int) -> list[slice]:
        """The labelled rows in pieces of whole sequences, up to ``rows`` in each where a sequence is no longer.

        A sequence is never cut: its ratio may be one for all its rows.
        """
        ends = self._counts.cumsum(0).tolist()
        found, first, last = list[slice](), 0, 0
        for end in ends:
            if end - first > rows and last > first:
                found.append(slice(first, last))
                first = last
            last = end
        return [*found, slice(first, last)] if last > first else found

    def contributions(self, log_probabilities: Tensor, rows: slice | None = None) -> Tensor:
        """What the rows of whole sequences add to their steps' losses, [m]; differentiable in the log-probabilities.

        Without log-probabilities of old the policy is that which drew the tokens: the ratio is 1, its gradient is not.
        """
        rows = rows or slice(0, len(self.sequence))
        settings, advantages, sequence = self.settings, self._advantages[rows], self.sequence[rows]
        old = self._old[rows] if len(self._old) else log_probabilities.detach()
        log_ratio = log_probabilities - old
        if settings.ratio != "token":
            whole = log_ratio.new_zeros(len(self._counts)).index_add(0, sequence, log_ratio)
            if settings.ratio == "sequence":
                whole = whole / self._counts.clamp(min=1)
            log_ratio = whole[sequence]
        ratio = log_ratio.exp()
        low, high = 1 - settings.clip, 1 + (settings.clip if settings.clip_high is None else settings.clip_high)
        loss = -torch.min(ratio * advantages, ratio.clamp(low, high) * advantages)
        beyond = ((ratio < low) & (advantages < 0)) | ((ratio > high) & (advantages > 0))
        groups = self._group[sequence]
        self.clipped.index_add_(0, groups, beyond.to(self.clipped.dtype) / self._labels[groups])
        if settings.kl:
            away = self._reference[rows] - log_probabilities
            divergence = away.exp() - away - 1
            loss = loss + settings.kl * (divergence * ratio if settings.corrected else divergence)
        return loss * self._scale[rows]

    def gradient(self, log_probabilities: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """The contributions of these rows, and their sum's gradient by the log-probabilities."""
        with torch.enable_grad():
            leaf = log_probabilities.detach().clone().requires_grad_()
            found = self.contributions(leaf, rows)
            (gradient,) = torch.autograd.grad(found.sum(), leaf)
        return found.detach(), gradient


def _scales(settings: PolicyLoss, steps: Sequence[Sequence[Example]], labelled: Sequence[int]) -> Sequence[float]:
    """What a row of each sequence counts for within its step's loss."""
    scales, counts = list[float](), iter(labelled)
    for step in steps:
        own = [next(counts) for _ in step]
        if settings.loss == "grpo":
            scales += [1.0 / (len(own) * max(1, count)) for count in own]
        else:
            whole = sum(own) if settings.loss == "bnpo" else len(own) * settings.length
            scales += [1.0 / max(1, whole)] * len(own)
    return scales
