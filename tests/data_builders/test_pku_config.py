"""configs/pku_mmd.py is the paper's run: NTU's config but for what the paper says of PKU-MMD."""

import pytest

from configs import ntu, pku_mmd
from data_builders.pku_mmd_ir.pku_mmd_ir_dataset_builder import Builder
from rgb2ir_jax.data.settings import validate as validate_data
from rgb2ir_jax.training.validation import flatten, validate

# Values of the paper's sec. 4.2, and names of this project's builder.
OF_PKU_MMD = {
    "name": "pku_mmd",
    "data.name": "pku_mmd_ir",
    "data.config": "phase1_xsub",
    "teacher.epochs": 120,
    "student.epochs": 120,
}


@pytest.mark.parametrize("variant", ["teacher", "student", "dkd", "mgcam", "mgcam+dkd"])
def test_it_differs_from_ntus_where_the_paper_says_so(variant):
    config = pku_mmd.get_config(variant)
    validate(config)
    validate_data(config.data)
    assert config.is_locked
    of_variant = {"distill.dkd.weight": 0.01} if "dkd" in variant else {}
    assert flatten(config) == {**flatten(ntu.get_config(variant)), **OF_PKU_MMD, **of_variant}
    assert ntu.get_config("dkd").distill.dkd.weight == 0.1


def test_the_builder_has_its_data_and_the_other_split():
    names = {config.name for config in Builder.BUILDER_CONFIGS}
    assert {"phase1_xsub", "phase1_xview", "phase2_xsub", "phase2_xview"} <= names
    assert pku_mmd.get_config().data.config in names
    assert pku_mmd.get_config().data.config == Builder.DEFAULT_BUILDER_CONFIG_NAME


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match=r"'nonsense' is not known"):
        pku_mmd.get_config("nonsense")
