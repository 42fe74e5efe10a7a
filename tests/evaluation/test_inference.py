"""Every clip's logits once and in order, whatever the batches look like."""

import jax.numpy as jnp
import numpy as np
import pytest

from rgb2ir_jax.evaluation.inference import predict_split


def batches(*masks):
    """Batches of clips whose number is their content and label; padding is -1."""
    clip = 0
    for mask in masks:
        numbers = np.full(len(mask), -1, np.int32)
        for row, real in enumerate(mask):
            if real:
                numbers[row] = clip
                clip += 1
        yield {"ir": numbers, "label": numbers, "mask": np.array(mask, np.float32)}


def predict(batch):
    return jnp.stack([batch["ir"], 10.0 * batch["ir"]], axis=1)


@pytest.mark.parametrize(("limit", "clips"), [(0, 7), (1, 1), (3, 3), (4, 4), (5, 5), (99, 7)])
def test_padding_is_left_out_and_the_limit_kept(limit, clips):
    logits, labels = predict_split(predict, batches([1, 1, 1], [1, 1, 1], [1, 0, 0]), limit=limit)
    assert labels.tolist() == list(range(clips))
    np.testing.assert_array_equal(logits, np.outer(np.arange(clips), [1, 10]))
    assert logits.dtype == np.float32


def test_padding_may_stand_anywhere():
    _, labels = predict_split(predict, batches([0, 1], [0, 0], [1, 1]))
    assert labels.tolist() == [0, 1, 2]


def test_no_batch_is_read_beyond_the_limit():
    asked = []

    def noted():
        for number, batch in enumerate(batches([1, 1], [1, 1], [1, 1])):
            asked.append(number)
            yield batch

    predict_split(predict, noted(), limit=3)
    assert asked == [0, 1]


def test_nothing_to_predict_is_an_error():
    with pytest.raises(ValueError, match="no clips to predict"):
        predict_split(predict, [])
