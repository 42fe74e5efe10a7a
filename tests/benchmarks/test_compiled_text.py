"""Reading a compiled program's text, against counts by hand and programs of known content."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.compiled import collectives, convolutions, memory_traffic, shape_bytes

TEXT = """HloModule jit_step, entry_computation_layout={(f32[4,8]{1,0})->f32[4,8]{1,0}}

%fused (p.1: f32[4,8]) -> f32[4,8] {
  %p.1 = f32[4,8]{1,0} parameter(0)
  ROOT %add.1 = f32[4,8]{1,0} add(%p.1, %p.1)
}

%called (q: f32[4,8]) -> f32[4,8] {
  %q = f32[4,8]{1,0} parameter(0)
  ROOT %inner = f32[4,8]{1,0} fusion(%q), kind=kLoop, calls=%fused
}

%copied (t: (f32[4,8])) -> (f32[8,4]) {
  %t = (f32[4,8]{1,0}) parameter(0)
  %one = f32[4,8]{1,0} get-tuple-element(%t), index=0
  %turned = f32[8,4]{1,0} transpose(%one), dimensions={1,0}
  ROOT %all = (f32[8,4]{1,0}) tuple(%turned)
}

ENTRY %main.1 (x: f32[4,8]) -> f32[4,8] {
  %x = f32[4,8]{1,0} parameter(0)
  %y = f32[4,8]{1,0} call(%x), to_apply=%called
  %cudnn = (bf16[4,8]{1,0}, u8[64]{0}) custom-call(%y, %x, %x, %y), FUSED
  %plain = (bf16[4,8]{1,0}, u8[0]{0}) custom-call(%y, %x), custom_call_target="__cudnn$convForward"
  %part = bf16[4,8]{1,0} get-tuple-element(%cudnn), index=0
  %sum = (f32[16]{0}, f32[]) all-reduce(%y, %x), replica_groups={}
  %start = (f32[2,8]{1,0}, f32[4,8]{1,0}) all-gather-start(%y), dimensions={0}
  %always = s32[] constant(0)
  %operand = (f32[4,8]{1,0}) tuple(%y)
  %either = (f32[8,4]{1,0}) conditional(%always, %operand, %operand), branch_computations={%copied, %copied}
  %done = f32[4,8]{1,0} all-gather-done(%start)
  ROOT %out = f32[4,8]{1,0} fusion(%part), kind=kLoop, calls=%fused
}
""".replace(
    "FUSED",
    'custom_call_target="__cudnn$convBiasActivationForward", '
    'backend_config={"cudnn_conv_backend_config":{"activation_mode":"kRelu"}}',
)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("f32[2,3]{1,0}", 24),
        ("bf16[5]", 10),
        ("pred[7]", 7),
        ("f32[]", 4),
        ("(f32[2]{0}, s8[3]{0}, /*index=2*/u64[])", 19),
        ("f8e4m3fn[16]", 16),
        ("token[]", 0),
    ],
)
def test_bytes_of_a_shape(shape, expected):
    assert shape_bytes(shape) == expected


def test_convolutions_are_named_by_what_is_fused_into_them():
    found = convolutions(TEXT)
    fused = "__cudnn$convBiasActivationForward, with bias, with side input, with ReLU"
    assert found[fused] == 1
    assert found["__cudnn$convForward"] == 1
    # The one in the called computation and the last one.
    assert found["elementwise fusions"] == 2


def test_collectives_count_once_and_by_their_results():
    assert collectives(TEXT) == [("all-reduce", 68), ("all-gather", 128)]


def test_traffic_by_hand():
    array, half = 128, 64
    kernels = [
        2 * array,  # The fusion in the called computation.
        2 * array,  # The transpose in one of both branches.
        half + 64 + 4 * array,
        half + 2 * array,
        68 + 2 * array,
        (64 + array) + array,  # All-gather's start; its end has the tuple for operand.
        array + (64 + array),
        array + half,
    ]
    assert memory_traffic(TEXT) == sum(kernels)


def test_traffic_of_a_compiled_program():
    x = jnp.ones((64, 128))
    text = jax.jit(lambda x: jnp.tanh(x) + 1).lower(x).compile().as_text()
    assert memory_traffic(text) == 2 * x.nbytes


def test_convolutions_of_a_compiled_program():
    x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 4))

    def twice(x, kernel):
        for _ in range(2):
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return x

    found = convolutions(jax.jit(twice).lower(x, kernel).compile().as_text())
    assert sum(count for name, count in found.items() if "convolution" in name) == 2
