"""Convolution by its definition, for the tests of faster ways."""

import numpy as np


def patches(x, window, strides):
    """All windows of padded maps: (batch, *out_pixels, channel, *window), a view to add to or read."""
    axes = tuple(range(1, x.ndim - 1))
    windows = np.lib.stride_tricks.sliding_window_view(x, window, axes, writeable=True)
    return windows[(slice(None), *(slice(None, None, stride) for stride in strides))]


def by_definition(x, kernel, slope, strides, padding):
    """Value, and gradients towards `x` and `kernel`, tap by tap."""
    window = kernel.shape[:-2]
    wide = np.pad(x, ((0, 0), *padding, (0, 0)))
    back = np.zeros_like(wide)
    seen, given_back = (patches(array, window, strides) for array in (wide, back))
    value, towards_kernel = np.zeros_like(slope), np.zeros_like(kernel)
    for tap in np.ndindex(*window):
        value += seen[(..., *tap)] @ kernel[tap]
        towards_kernel[tap] = np.tensordot(seen[(..., *tap)], slope, (range(x.ndim - 1),) * 2)
        given_back[(..., *tap)] += slope @ kernel[tap].T
    inner = (slice(low, low + size) for (low, _), size in zip(padding, x.shape[1:-1], strict=True))
    return value, back[(slice(None), *inner)], towards_kernel
