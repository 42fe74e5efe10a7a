"""DL-KDD's run, narrowed for two CPU cores and synthetic dark footage.

    python -m rgb2ir_jax.reproduce --table=dlkdd --config=configs/dark_demo.py --workdir=DIR --config.data.dir=DIR

Networks (18 layers of an eighth of the width), frames (8 of 56 pixels) and Zero-DCE (for which gamma
correction stands) shrink; the data set, the loss and the roles of the two networks stay. What differs from
configs/dark.py differs here, with the reason. docs/dark.md has all commands.
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
        config.data.frame_stride = 4  # over half of the time that its 64 frames show.
        config.data.resize = 64  # For time.
        config.data.crop = 56  # Half of the paper's.
        config.data.train_reach = 0.25  # The person stands in the middle of a wide picture.
        config.data.train_scales = (1.0, 0.875)  # Smaller crops would cut off hands and heads.
        config.data.threads = 2
        # Zero-DCE would take 25 times as long as the narrow network behind it.
        config.teacher.enhance = "gamma"
        for network in (config.teacher, config.student):
            network.backbone = "r2plus1d_18"  # From scratch, half of the layers learn sooner.
            network.width = 8
            network.batch_size = 8  # Five hundred clips give few steps of more.
            network.dropout = (
                0.0  # Networks this narrow underfit; dropping features costs accuracy.
            )
            network.zero_init_residual = True  # From scratch, deep networks learn sooner so.
        config.teacher.epochs = 20  # What fits into four minutes,
        config.student.epochs = 16  # and with the teacher's share of each step.
        config.optimizer.learning_rate = (
            0.003  # From scratch, in 1,000 steps, 1e-4 does not get anywhere.
        )
        config.optimizer.weight_decay = 0.05
        config.optimizer.schedule = "cosine"
        config.optimizer.warmup_epochs = 1.0
        config.evaluation.batch_size = 32
        config.evaluation.every_epochs = 4
    return config
