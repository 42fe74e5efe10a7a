"""Training of Zero-DCE, which brightens dark frames, on the frames of any data set; labels are not used.

    python -m rgb2ir_jax.main --config=configs/zero_dce.py --workdir=DIR --config.data.dir=DIR
        --config.data.name=NAME --config.data.config=CONFIG

DIR/zero_dce.safetensors is then what a network names: --config.teacher.enhance=zero_dce
--config.teacher.enhance_weights=DIR/zero_dce.safetensors.

The settings are those of the authors' code (Li-Chongyi/Zero-DCE, lowlight_train.py), which trains on
pictures of a multi-exposure set; "official" below. What differs says so.
"""

from ml_collections import ConfigDict

from configs import ntu


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config; there are no variants, and any name raises ValueError."""
    if variant:
        raise ValueError(f"variant {variant!r} is not known; configs/zero_dce.py has none")
    base = ntu.get_config("student")
    # A field and its source stand on one line.
    # fmt: off
    config = ConfigDict()
    config.name = "zero_dce"
    config.seed = 0  # Drives weights, order and frames.
    config.smoke = False  # True: a look in a minute.
    config.compute_dtype = "float32"  # Official. Neighbouring curves differ by less than bfloat16's digits.
    config.deterministic = False  # As configs/ntu.py.

    config.data = base.data.copy_and_resolve_references()
    config.data.segments = 1  # Frames of a clip: a random one each epoch. Official: single pictures.
    config.data.resize = 256
    config.data.crop = 256  # Official: 256, the whole picture squeezed; here its middle or sides, not squeezed.
    config.data.train_scales = (1.0,)
    config.data.flip_probability = 0.0  # Official: none.

    config.zero_dce = ConfigDict()
    config.zero_dce.modality = "rgb"  # Of the records. Of one channel (infrared), R = G = B.
    config.zero_dce.init = ""  # First weights: a file of ours or the authors' Epoch99.pth; "": random.
    config.zero_dce.batch_size = 8  # Clips. Official: 8 pictures.
    config.zero_dce.epochs = 200  # Official, of 2,002 pictures: 50,000 steps.
    config.zero_dce.learning_rate = 1e-4  # Adam, constant. Official.
    config.zero_dce.weight_decay = 1e-4  # Added to the gradient, as torch.optim.Adam does. Official.
    config.zero_dce.clip_norm = 0.1  # Global gradient norm, 0: off. Official.
    config.zero_dce.spatial_weight = 1.0  # The four losses' weights: official.
    config.zero_dce.exposure_weight = 10.0
    config.zero_dce.color_weight = 5.0
    config.zero_dce.smoothness_weight = 200.0
    config.zero_dce.exposure_patch = 16  # Pixels. Official.
    config.zero_dce.exposure_level = 0.6  # Mean brightness that patches should have. Official.
    config.zero_dce.figures = 4  # Test clips in enhanced.png, before and after; 0: no picture.

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 16  # Clips. Changes no number.
    config.evaluation.every_epochs = 10  # The losses of the test split; official: none.

    config.checkpoint = ConfigDict()  # As configs/ntu.py.
    for field in ("every_epochs", "every_steps", "every_minutes", "keep", "keep_best"):
        config.checkpoint[field] = base.checkpoint[field]

    config.early_stopping = base.early_stopping.copy_and_resolve_references()  # By test/loss.
    config.guard = base.guard.copy_and_resolve_references()
    config.profile = False
    config.log_every_steps = 20
    config.limit_train_steps = 0  # Stops after so many steps; 0: no limit. For trying things out.
    config.limit_test_clips = 0  # Tests on so many clips; 0: all. For trying things out.
    # fmt: on
    return config.lock()
