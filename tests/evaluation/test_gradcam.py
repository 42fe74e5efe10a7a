"""Grad-CAM against closed forms: the class activation map, and a head that is not linear."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rgb2ir_jax.evaluation.gradcam import grad_cam, shares_of_greatest

CLIPS, TIME, HEIGHT, WIDTH, CHANNELS, CLASSES = 3, 2, 4, 5, 6, 4


@pytest.fixture(scope="module")
def drawn():
    """Maps as after a ReLU, a classifier, and a class for each clip."""
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.normal(size=(CLIPS, TIME, HEIGHT, WIDTH, CHANNELS)), 0)
    kernel = rng.normal(size=(CHANNELS, CLASSES))
    return maps.astype(np.float32), kernel.astype(np.float32), np.array([2, 0, 3], np.int32)


def test_behind_average_pooling_it_is_the_class_activation_map_over_the_places(drawn):
    maps, kernel, classes = drawn

    def head(x):
        # The consensus of the frames' logits, as in a temporal segment network.
        return jnp.mean(jnp.mean(x, axis=(2, 3)) @ kernel + 0.7, axis=1)

    found = np.asarray(grad_cam(head, jnp.asarray(maps), jnp.asarray(classes)))
    for clip, label in enumerate(classes):
        activation = maps[clip].astype(np.float64) @ kernel[:, label].astype(np.float64)
        expected = np.maximum(activation, 0) / (TIME * HEIGHT * WIDTH)
        np.testing.assert_allclose(found[clip], expected, rtol=1e-5, atol=1e-7)
    assert (found > 0).any()
    assert (found == 0).any()


def test_weights_are_means_of_the_gradient_over_places_and_frames(drawn):
    maps, kernel, classes = drawn

    def head(x):
        return jnp.mean(x**2, axis=(1, 2, 3)) @ kernel

    found = np.asarray(grad_cam(head, jnp.asarray(maps), jnp.asarray(classes)))
    wide, places = maps.astype(np.float64), TIME * HEIGHT * WIDTH
    for clip, label in enumerate(classes):
        gradient = 2 * wide[clip] * kernel[:, label] / places
        weights = gradient.mean(axis=(0, 1, 2))
        np.testing.assert_allclose(found[clip], np.maximum(wide[clip] @ weights, 0), rtol=1e-4,
                                   atol=1e-8)  # fmt: skip


def test_where_everything_speaks_against_the_class_the_map_is_zero(drawn):
    maps, kernel, classes = drawn

    def head(x):
        return jnp.mean(x, axis=(1, 2, 3)) @ -jnp.abs(kernel)

    assert not np.asarray(grad_cam(head, jnp.asarray(maps), jnp.asarray(classes))).any()


@given(arrays(np.float32, (2, 2, 3, 1), elements=st.floats(0, 1000, width=32)))
def test_shares_are_of_the_clips_greatest_value(maps):
    shares = shares_of_greatest(maps)
    for own, found in zip(maps, shares, strict=True):
        greatest = own.max()
        np.testing.assert_allclose(found, own / greatest if greatest > 0 else 0 * own, rtol=1e-6)
