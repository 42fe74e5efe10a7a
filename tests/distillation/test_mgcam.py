import itertools

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from rgb2ir_jax.distillation.mgcam import MGCAM, mgcam_loss
from rgb2ir_jax.models.output import NetworkOutput

# Every value of every option, and every kernel with every graph.
OPTIONS = [
    dict(zip(("kernel", "graph", "activation", "pairs", "reduction"), values, strict=True))
    for values in (
        ("l2", "self", "mean_square", "all", "l2sq_batchmean"),
        ("l2", "cross", "mean_abs", "all", "mse"),
        ("raw", "self", "mean_square", "matched", "mse"),
        ("raw", "cross", "mean_square", "matched", "l2sq_batchmean"),
        ("median", "self", "mean_abs", "matched", "l2sq_batchmean"),
        ("median", "cross", "mean_square", "all", "mse"),
    )
]


def random_maps(rng, clips, widths=(4, 6, 8, 5), sizes=((8, 6), (5, 4), (4, 3), (2, 2)), scale=0.3):
    """Maps as after a ReLU, small enough for the raw kernel not to underflow."""
    return [
        np.maximum(rng.standard_normal((clips, *size, width)), 0) * scale
        for size, width in zip(sizes, widths, strict=True)
    ]


def teacher_maps_of(rng, clips, scale=0.3):
    return random_maps(rng, clips, (16, 12, 9, 20), ((8, 6), (4, 4), (3, 2), (2, 1)), scale)


def single(*networks):
    """The maps of each network as float32 arrays."""
    return [[jnp.asarray(m, jnp.float32) for m in maps] for maps in networks]


def jitted(**options):
    return jax.jit(lambda s, t: mgcam_loss(s, t, **options))


def naive_pool(maps, size):
    """PyTorch's adaptive average pooling, window by window."""
    clips, height, width = maps.shape
    out = np.zeros((clips, *size))
    for a, b in itertools.product(range(size[0]), range(size[1])):
        rows = slice(a * height // size[0], -(-(a + 1) * height // size[0]))
        columns = slice(b * width // size[1], -(-(b + 1) * width // size[1]))
        out[:, a, b] = maps[:, rows, columns].mean(axis=(1, 2))
    return out


def naive_graph(vertices_m, vertices_n, kernel):
    """Eq. 1-2, edge by edge."""
    clips = len(vertices_m)
    if kernel == "l2":
        vertices_m, vertices_n = (
            np.stack([v / max(np.linalg.norm(v), 1e-12) for v in vertices])
            for vertices in (vertices_m, vertices_n)
        )
    d = np.array([[np.sum((m - n) ** 2) for n in vertices_n] for m in vertices_m])
    if kernel == "median":
        d = d / np.median([d[m, n] for m in range(clips) for n in range(clips) if m != n])
    edges = np.exp(-d / 2)
    degrees = edges.sum(axis=1)
    return np.array(
        [
            [edges[m, n] / np.sqrt(degrees[m] * degrees[n]) for n in range(clips)]
            for m in range(clips)
        ]
    )


def naive_mgcam(
    student, teacher, *, pairs, graph, kernel, activation, reduction, attention_scale=1.0
):
    """Eq. 1-6 pair by pair in float64, as docs/methods.md reads them."""
    clips, stages = len(student[0]), len(student)
    activate = (
        (lambda f: (f**2).mean(-1)) if activation == "mean_square" else (lambda f: abs(f).mean(-1))
    )
    total = 0.0
    for i, j in itertools.product(range(stages), repeat=2):
        if pairs == "matched" and i != j:
            continue
        size = tuple(np.minimum(student[i].shape[1:3], teacher[j].shape[1:3]))
        rows_s = naive_pool(activate(student[i]), size).reshape(clips, -1)
        rows_t = naive_pool(activate(teacher[j]), size).reshape(clips, -1)
        if graph == "self":
            flat_s, flat_t = student[i].reshape(clips, -1), teacher[j].reshape(clips, -1)
            query, key = naive_graph(flat_s, flat_s, kernel), naive_graph(flat_t, flat_t, kernel)
        else:
            query = key = naive_graph(rows_s, rows_t, kernel)
        scores = attention_scale * query @ key.T / np.sqrt(clips)
        attention = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        mixed_t, mixed_s = attention @ rows_t, attention @ rows_s
        difference = mixed_t / np.linalg.norm(
            mixed_t, axis=1, keepdims=True
        ) - mixed_s / np.linalg.norm(mixed_s, axis=1, keepdims=True)
        squares = difference**2
        total += squares.sum(axis=1).mean() if reduction == "l2sq_batchmean" else squares.mean()
    return total / stages


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
def test_agrees_with_the_equations_computed_pair_by_pair(options):
    rng = np.random.default_rng(0)
    student, teacher = random_maps(rng, 5), teacher_maps_of(rng, 5)
    expected = naive_mgcam(student, teacher, **options)
    with jax.enable_x64(True):
        double = [[*map(jnp.asarray, maps)] for maps in (student, teacher)]
        np.testing.assert_allclose(jitted(**options)(*double), expected, rtol=1e-9)
    np.testing.assert_allclose(jitted(**options)(*single(student, teacher)), expected, rtol=2e-5)


def test_jit_equals_eager():
    rng = np.random.default_rng(9)
    maps = single(random_maps(rng, 5)[:2], teacher_maps_of(rng, 5)[:2])
    np.testing.assert_allclose(jitted()(*maps), mgcam_loss(*maps), rtol=1e-6)


def test_agrees_with_the_equations_on_large_raw_maps():
    # Distances here are thousands, as between real feature maps: the literal kernel underflows to 0.
    rng = np.random.default_rng(1)
    student, teacher = random_maps(rng, 6, scale=30.0), teacher_maps_of(rng, 6, scale=30.0)
    for options in OPTIONS:
        if options["kernel"] == "raw" and options["graph"] == "cross":
            continue  # every edge is 0 there, and the naive version divides by it
        value = jitted(**options)(*single(student, teacher))
        np.testing.assert_allclose(value, naive_mgcam(student, teacher, **options), rtol=5e-5)


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_attention_scale(scale):
    rng = np.random.default_rng(2)
    student, teacher = random_maps(rng, 6), teacher_maps_of(rng, 6)
    value = jitted(attention_scale=scale)(*single(student, teacher))
    expected = naive_mgcam(student, teacher, **OPTIONS[0], attention_scale=scale)
    np.testing.assert_allclose(value, expected, rtol=5e-5)


@pytest.mark.parametrize("options", [{}, {"graph": "cross"}, {"kernel": "raw"}], ids=str)
def test_gradients_match_finite_differences(options):
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        student = [jnp.asarray(m + 0.01) for m in random_maps(rng, 3)]
        teacher = [jnp.asarray(m + 0.01) for m in teacher_maps_of(rng, 3)]

        loss = jax.jit(lambda s: mgcam_loss(s, teacher, **options))
        jax.test_util.check_grads(loss, (student,), order=1, modes="rev", rtol=1e-5, eps=1e-5)


def test_attention_gradient_can_be_cut():
    rng = np.random.default_rng(4)
    student, teacher = single(random_maps(rng, 4), teacher_maps_of(rng, 4))

    def gradient(**options):
        return jax.jit(
            jax.grad(lambda s: mgcam_loss(s, teacher, attention_scale=100.0, **options))
        )(student)

    full, cut = gradient(), gradient(attention_gradient=False)
    assert max(float(jnp.abs(a - b).max()) for a, b in zip(full, cut, strict=True)) > 1e-6


def spoiled(kind, maps):
    """Maps that break careless formulas."""
    clips = len(maps)
    return {
        "zero": lambda: maps * 0,
        "duplicates": lambda: np.broadcast_to(maps[:1], maps.shape),
        "huge": lambda: maps * 1e30,
        "huge_duplicates": lambda: np.broadcast_to(maps[:1], maps.shape) * 1e30,
        "tiny": lambda: maps * 1e-30,
        "one_zero": lambda: maps * (np.arange(clips) > 0)[:, None, None, None],
    }[kind]()


@pytest.mark.parametrize("clips", [1, 4])
@pytest.mark.parametrize("kernel", ["l2", "raw", "median"])
@pytest.mark.parametrize("graph", ["self", "cross"])
def test_is_finite_in_value_and_gradient_on_every_finite_input(clips, kernel, graph):
    rng = np.random.default_rng(5)
    sizes, widths = ((4, 4), (2, 2)), (3, 5)
    function = jax.jit(
        jax.value_and_grad(
            lambda s, t: mgcam_loss(s, t, kernel=kernel, graph=graph), argnums=(0, 1)
        )
    )
    for kinds in itertools.product(
        ("zero", "duplicates", "huge", "huge_duplicates", "tiny", "one_zero"), repeat=2
    ):
        student, teacher = (
            [
                jnp.asarray(spoiled(kind, m), jnp.float32)
                for m in random_maps(rng, clips, widths, sizes)
            ]
            for kind in kinds
        )
        value, gradients = function(student, teacher)
        assert np.isfinite(value), kinds
        assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients)), kinds


def test_invariances():
    rng = np.random.default_rng(6)
    student, teacher = single(random_maps(rng, 6), teacher_maps_of(rng, 6))
    loss = jitted()
    value = loss(student, teacher)
    scaled = [m * s for m, s in zip(student, (0.1, 7.0, 1e4, 2.0), strict=True)]
    np.testing.assert_allclose(loss(scaled, teacher), value, rtol=1e-5)
    order = rng.permutation(6)
    permuted = loss([m[order] for m in student], [m[order] for m in teacher])
    np.testing.assert_allclose(permuted, value, rtol=1e-5)
    assert float(mgcam_loss(student, student, pairs="matched")) == pytest.approx(0.0, abs=1e-12)


def test_one_clip_compares_plain_maps():
    rng = np.random.default_rng(7)
    s, t = random_maps(rng, 1, (3,), ((4, 4),))[0], random_maps(rng, 1, (5,), ((4, 4),))[0]
    row_s, row_t = (s**2).mean(-1).ravel(), (t**2).mean(-1).ravel()
    expected = np.sum((row_s / np.linalg.norm(row_s) - row_t / np.linalg.norm(row_t)) ** 2)
    value = mgcam_loss([jnp.asarray(s, jnp.float32)], [jnp.asarray(t, jnp.float32)])
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_pairs_are_one_batched_computation():
    def products(stages):
        maps = [jax.ShapeDtypeStruct((4, 4, 4, 3), jnp.float32)] * stages
        return str(jax.make_jaxpr(mgcam_loss)(maps, maps)).count("dot_general")

    # A product for each graph, and two for all pairs together.
    assert products(2) == 2 * 2 + 2
    assert products(4) == 2 * 4 + 2


@pytest.mark.parametrize(
    ("student", "teacher", "options", "message"),
    [
        ([(2, 4, 4, 3)], [(3, 4, 4, 3)], {}, "same N clips"),
        ([(2, 4, 4, 3)] * 2, [(2, 4, 4, 3)], {}, "2 student maps and 1 teacher maps"),
        ([], [], {}, "at least one"),
        ([(2, 0, 4, 3)], [(2, 4, 4, 3)], {}, "non-empty"),
    ],
)
def test_refuses_maps_that_make_no_sense(student, teacher, options, message):
    with pytest.raises(ValueError, match=message):
        mgcam_loss([jnp.zeros(s) for s in student], [jnp.zeros(s) for s in teacher], **options)


def test_method_averages_each_stage_over_its_segments():
    rng = np.random.default_rng(8)
    names = ("stage1", "stage2", "stage3", "stage4")

    def output(maps):
        # Two segments around the mean map, in the low precision of a network's compute dtype.
        stages = {
            name: jnp.stack([m + 0.25, m - 0.25], axis=1)
            for name, m in zip(names, maps, strict=True)
        }
        return NetworkOutput(logits=jnp.zeros((4, 3)), stages=stages, features=jnp.zeros((4, 2, 1)))

    student, teacher = single(random_maps(rng, 4), teacher_maps_of(rng, 4))
    method = MGCAM(pairs="all", kernel="l2")
    terms = jax.jit(lambda s, t: method(s, t, jnp.zeros(4, jnp.int32), jnp.float32(0)))(
        output(student), output(teacher)
    )
    np.testing.assert_allclose(terms["loss"], jitted()(student, teacher), rtol=1e-5)
