"""The distillation methods' sections of a config: default weights, options and where they come from.

A variant is one or more of these names joined by `+`: a method ("at", "mgcam+dkd", "rkd+dkd"), or
a method with named settings behind a dash ("at-crd", "mgcam-sharp+dkd"). Every field can be
overridden: `--config.distill.dkd.weight=0.5`. docs/methods.md describes the methods.

"zoo" is AberHu/Knowledge-Distillation-Zoo, "crd" HobbitLong/RepDistiller, whose weights are not
interchangeable. The paper says nothing of the weights of the methods that it compares with.
"""

from typing import Any

from ml_collections import ConfigDict

DEFAULTS: dict[str, dict[str, Any]] = {
    # Quan et al., sec. 4.2: alpha, alpha_T, alpha_N.
    "dkd": {
        "weight": 0.1,
        "target_weight": 0.7,
        "nontarget_weight": 0.35,
        "temperature": 1.0,  # Paper silent.
    },
    # Quan et al., sec. 4.2: beta. The options are readings of Eq. 1-6 that the paper leaves open.
    "mgcam": {
        "weight": 1.0,
        "pairs": "all",  # or "matched"
        "graph": "self",  # or "cross"
        "kernel": "l2",  # or "raw", "median"
        "activation": "mean_square",  # or "mean_abs"
        "reduction": "l2sq_batchmean",  # or "mse"
        "attention_scale": 1.0,
        "attention_gradient": True,
        "unit": "clip",  # or "frame": one vertex a segment's frame
    },
    "st": {"weight": 0.1, "temperature": 4.0, "cross_entropy": 1.0},  # zoo
    "at": {"weight": 1000.0, "power": 2, "preset": "zoo", "unit": "clip"},  # zoo
    "sp": {"weight": 3000.0, "preset": "zoo", "unit": "clip"},  # zoo
    "cc": {"weight": 100.0, "gamma": 0.4, "order": 2, "unit": "clip"},  # zoo
    # Park et al., CVPR 2019: 25 and 50.
    "rkd": {"weight": 1.0, "distance_weight": 25.0, "angle_weight": 50.0, "unit": "clip"},
    # Gou et al., 2022.
    "ccskd": {
        "weight": 1.0,
        "distance_weight": 6.0,
        "relation_weight": 6.0,
        "soft_target_weight": 0.1,
        "selective_weight": 0.1,
        "preset": "constant",  # or "official": no cross-entropy in the first 30% of the training
        "unit": "clip",
    },
    # Our reading: the weights are ours.
    "arctic": {
        "weight": 1.0,
        "relation_weight": 1.0,
        "region_weight": 1.0,
        "selective_weight": 0.1,
        "share": 0.3,
        "temperature": 4.0,
        "unit": "clip",
    },
    # Our reading: the weights are ours.
    "focal": {
        "weight": 1.0,
        "soft_target_weight": 1.0,
        "correlation_weight": 1.0,
        "distribution_weight": 1.0,
        "temperature": 4.0,
        "unit": "clip",
    },
}

SETTINGS: dict[str, dict[str, Any]] = {
    "st-crd": {"weight": 0.9, "cross_entropy": 0.1},
    # Chang et al., DL-KDD, Eq. 4-6 and sec. 4.1: alpha = beta = 1. Paper silent on a temperature.
    "st-dlkdd": {"weight": 1.0, "temperature": 1.0},
    "at-crd": {"preset": "crd"},  # Summed over the stages.
    "sp-crd": {"preset": "crd"},  # The last stage alone.
    "ccskd-official": {"preset": "official"},
    # One reading of Eq. 1-6 changed at a time.
    "mgcam-matched": {"pairs": "matched"},
    "mgcam-cross": {"graph": "cross"},
    "mgcam-raw": {"kernel": "raw"},
    "mgcam-median": {"kernel": "median"},
    "mgcam-abs": {"activation": "mean_abs"},
    "mgcam-mse": {"reduction": "mse"},
    "mgcam-sharp": {
        "attention_scale": 100.0
    },  # Uniform still, but for small batches (docs/methods.md).
    "mgcam-stopped": {"attention_gradient": False},
    "mgcam-frame": {"unit": "frame"},
}


def distillation(variant: str) -> ConfigDict:
    """Returns the methods of a variant with their default weights and options.

    Raises:
        ValueError: the variant is not known; lists those that are.
    """
    if variant in ("teacher", "student"):
        return ConfigDict()
    sections: dict[str, dict[str, Any]] = {}
    for name in variant.split("+"):
        method = name.partition("-")[0]
        if name not in {*DEFAULTS, *SETTINGS} or method in sections:
            raise ValueError(
                f"variant {variant!r} is not known; expected 'teacher', 'student' or methods joined "
                f"by '+' without repetition, of: {', '.join(sorted({*DEFAULTS, *SETTINGS}))}"
            )
        # Over how much of the training the weight rises from 0. The paper has no warm-up.
        sections[method] = {"warmup": 0.0, **DEFAULTS[method], **SETTINGS.get(name, {})}
    return ConfigDict(sections)
