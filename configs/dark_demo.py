"""DL-KDD's run, narrowed for two CPU cores and synthetic dark footage.

    python -m rgb2ir_jax.reproduce --table=dlkdd --config=configs/dark_demo.py --workdir=DIR --config.data.dir=DIR

Networks (18 layers of an eighth of the width), frames (8 of 40 pixels), Zero-DCE (for which gamma
correction stands) and the BERT head (for which the mean over time stands) shrink; the data set, the loss and
the roles of the two networks stay. What differs from configs/dark.py differs here, with the reason.
docs/dark.md has all commands.
"""

from ml_collections import ConfigDict

from configs import dark


def get_config(variant: str = "dlkdd") -> ConfigDict:
    """Returns the locked config of a variant; see configs/dark.py for their names."""
    config = dark.get_config(variant)
    with config.unlocked():
        config.name = "dark_demo"
        config.data.dir = "runs/dark_demo/data"
        config.data.segments = 8  # An eighth of the paper's,
        config.data.frame_stride = 8  # over the time that its 64 frames show.
        config.data.resize = 48  # For time.
        config.data.crop = 40  # A third of the paper's.
        config.data.train_reach = 0.25  # The person stands in the middle of a wide picture.
        config.data.train_scales = (1.0, 0.875)  # Smaller crops would cut off hands and heads.
        config.data.threads = 2
        # Zero-DCE would take 25 times as long as the narrow network behind it.
        config.teacher.enhance = "gamma"
        # Behind Kinetics' statistics dark frames are nearly one constant, far from zero, and the zeros of the
        # convolutions' padding the only contrast. These are the footage's own, with gamma and without.
        config.teacher.mean = (0.22, 0.22, 0.21)
        config.teacher.std = (0.08, 0.08, 0.08)
        config.student.mean = (0.07, 0.07, 0.07)
        config.student.std = (0.04, 0.04, 0.04)
        for network in (config.teacher, config.student):
            network.backbone = "r2plus1d_18"  # From scratch, half of the layers learn sooner.
            network.width = 8
            network.temporal_head = (
                "mean"  # From scratch, BERT does not begin to learn in 2,700 steps of 8 clips.
            )
            network.batch_size = 16  # With 8, some seeds do not begin to learn in 1,500 steps.
            network.dropout = (
                0.0  # Networks this narrow underfit; dropping features costs accuracy.
            )
            network.zero_init_residual = True  # From scratch, deep networks learn sooner so.
            network.epochs = 36  # What fits into four minutes.
        config.optimizer.learning_rate = (
            0.003  # From scratch, in 1,300 steps, 1e-4 does not get anywhere.
        )
        config.optimizer.weight_decay = 0.05
        config.optimizer.schedule = "cosine"
        config.optimizer.warmup_epochs = 1.0
        config.evaluation.batch_size = 32
        config.evaluation.every_epochs = 6
    return config
