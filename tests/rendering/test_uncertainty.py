from __future__ import annotations

import math

import pytest
import torch

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.uncertainties import UNCERTAINTIES, get_uncertainty
from mmseg_pointrend.rendering.uncertainty import (
    binary_margin,
    entropy,
    logit_margin,
    probability_margin,
)


@pytest.mark.parametrize('classes', [2, 3, 19])
def test_margins_equal_the_two_largest_values(classes):
    logits = torch.randn(2, classes, 6, 7)
    top = logits.topk(2, dim=1).values
    torch.testing.assert_close(logit_margin(logits), top[:, 1] - top[:, 0])
    top = logits.softmax(dim=1).topk(2, dim=1).values
    torch.testing.assert_close(probability_margin(logits), top[:, 1] - top[:, 0])


def test_equal_largest_logits_are_as_hard_as_it_gets():
    logits = torch.tensor([1.0, 3.0, 3.0, 2.0]).view(1, 4, 1)
    assert logit_margin(logits).item() == 0


def test_entropy_runs_from_zero_to_log_classes():
    assert entropy(torch.zeros(1, 4, 1)).item() == pytest.approx(math.log(4))
    assert entropy(torch.tensor([90.0, 0, 0, 0]).view(1, 4, 1)).item() < 1e-30


def test_binary_margin_is_the_distance_from_the_threshold():
    at_threshold = torch.tensor(0.3).logit().view(1, 1, 1)
    assert binary_margin(at_threshold, 0.3).item() == pytest.approx(0, abs=1e-6)
    assert binary_margin(at_threshold + 2, 0.3).item() == pytest.approx(-2)


@pytest.mark.parametrize('name', ['logit_margin', 'probability_margin', 'entropy'])
def test_half_precision_logits_are_compared_in_float32(name):
    logits = torch.randn(1, 5, 9).bfloat16()
    function = get_uncertainty(name, 5, None)
    assert function(logits).dtype == torch.float32
    torch.testing.assert_close(function(logits), function(logits.float()))


def test_one_output_channel_takes_the_binary_measure_by_itself():
    function = get_uncertainty('logit_margin', 1, 0.5)
    assert function(torch.tensor([[[2.0, -1.0]]])).tolist() == [[-2.0, -1.0]]


def test_a_user_can_register_another():
    @UNCERTAINTIES.register_module()
    def least_confidence(logits):
        return 1 - logits.softmax(dim=1).amax(dim=1)

    assert get_uncertainty('least_confidence', 5, None) is least_confidence
    assert get_uncertainty('least_confidence', 1, 0.5) is least_confidence


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"'margin' is unknown: use one of entropy"):
        get_uncertainty('margin', 5, None)
