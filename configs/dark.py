"""DL-KDD's run: a teacher that sees enhanced dark frames teaches a student that sees them as they are.

    python -m rgb2ir_jax.main --config=configs/dark.py[:VARIANT] --workdir=DIR --config.data.dir=DIR
        --config.teacher.enhance_weights=FILE

VARIANT: `dlkdd` (the default), `teacher` (enhanced frames), `student` (original frames alone), or any
other that configs/ntu.py has; `dlkdd` is short for `st-dlkdd`, the soft targets of configs/methods.py with
DL-KDD's numbers. FILE holds Zero-DCE's weights: the zero_dce.safetensors of a run of configs/zero_dce.py, or
the authors' Epoch99.pth. `student` needs none. docs/dark.md has all commands.

Both networks start from random weights; DL-KDD's from IG-65M's, which have to be fetched by hand
(docs/weights.md) and named: --config.teacher.init=FILE --config.student.init=FILE.

Chang et al., "DL-KDD: Dual-Light Knowledge Distillation for Action Recognition in the Dark"; "paper" below.
Where it is silent, "DarkLight's" is the code that it follows (Ticuby/Darklight-Pytorch, for Chen et al., CVPR
Workshops 2021), and "ours" a choice of this project. Fields that are not here are those of
configs/ntu.py, about which the paper is silent.
"""

from ml_collections import ConfigDict

from configs import ntu


def get_config(variant: str = "dlkdd") -> ConfigDict:
    """Returns the locked config of a variant; an unknown one raises ValueError."""
    config = ntu.get_config("st-dlkdd" if variant == "dlkdd" else variant)
    # A field and its source stand on one line.
    # fmt: off
    with config.unlocked():
        config.name = "dark"
        config.data.name = "arid"  # The builder in data_builders/. Sec. 4.1: ARID; or "dark48".
        # Sec. 4.1: ARID and ARID V1.5; which of their splits: paper silent, the first is DarkLight's default.
        config.data.config = "v1_split1"  # or v1_split2, v1_split3, v1_5_split0, v1_5_split1; of dark48 "default".
        config.data.segments = 64  # Frames. Sec. 4.1.
        config.data.sampling = "dense"  # Frames in a row, short videos in a loop. Paper silent; DarkLight's.
        config.data.frame_stride = 1  # Paper silent; DarkLight's.
        config.data.resize = 128  # Short side. Paper: "resized to 112 x 112", and no word of crops; DarkLight's.
        config.data.crop = 112  # Sec. 4.1.
        config.data.train_scales = (1.0, 0.875, 0.75, 0.66)  # Paper silent; DarkLight's.
        config.data.train_reach = 1.0  # Paper silent; DarkLight's corners.
        config.data.flip_probability = 0.5  # Paper silent; DarkLight's.

        config.teacher.enhance = "zero_dce"  # Sec. 4.1. Or "gamma", DarkLight's.
        config.teacher.enhance_weights = ""  # Has to be given, see above. Paper silent on whose weights.
        config.student.enhance = None  # Sec. 3.3: the original frames.
        for network in (config.teacher, config.student):  # Sec. 3.3: the student's classifier is the teacher's.
            network.modality = "rgb"  # Sec. 4.1: three channels.
            network.in_channels = 3  # Sec. 4.1.
            network.backbone = "r2plus1d_34"  # R(2+1)D: sec. 4.1. Layers: paper silent; DarkLight's.
            network.depth = 34  # Not read beside a backbone.
            network.temporal_head = "bert"  # Sec. 4.1.
            network.dropout = 0.8  # Before the classifier. Paper silent; DarkLight's.
            # What IG-65M's weights expect (ig65m-pytorch). Paper silent; DarkLight has ImageNet's.
            network.mean = (0.43216, 0.394666, 0.37645)
            network.std = (0.22803, 0.22145, 0.216989)
            network.init = ""  # IG-65M: sec. 4.1. Has to be given, see above; "": random.
            network.batch_size = 2  # Clips. Sec. 4.1.
            network.accumulate = 1  # Paper silent; DarkLight adds up the gradients of 16 batches.
            network.epochs = 200  # Paper silent; DarkLight's default.

        config.optimizer.name = "adamw"  # Sec. 4.1.
        config.optimizer.learning_rate = 1e-4  # Sec. 4.1.
        config.optimizer.momentum = 0.9  # Paper silent; AdamW's default, and DarkLight's.
        config.optimizer.weight_decay = 1e-3  # Paper silent; DarkLight's.
        config.optimizer.decay_spares_norms_and_biases = False  # Paper silent; DarkLight spares nothing.
        config.optimizer.bias_rate_factor = 1.0  # Paper silent; DarkLight has one rate.
        config.optimizer.clip_norm = 0.0  # Paper silent; DarkLight does not clip.
        # Paper silent. DarkLight divides the rate by ten when the test loss stalls, which asks the test clips.
        config.optimizer.schedule = "step"  # Ours, in its stead.
        config.optimizer.decay_at = (0.375, 0.75)  # Ours: epochs 75 and 150.
        config.optimizer.decay_factor = 10.0  # DarkLight's.
        # The loss of `dlkdd`, Eq. 4-6, stands in configs/methods.py.
        config.evaluation.segments = 0  # One clip of 64 frames from the middle. Paper silent; DarkLight's.
        config.evaluation.crops = 1  # The middle. Paper silent; DarkLight's.
        config.evaluation.batch_size = 8  # Clips of 64 frames take memory. Changes no number.
    # fmt: on
    return config.lock()
