"""The paper's run, narrowed for two CPU cores and the synthetic footage of `make demo`.

Networks (a quarter of the width), frames (64 pixels) and segments (4) shrink; nothing is left out. What
differs from configs/ntu.py differs here, with the reason.
"""

from ml_collections import ConfigDict

from configs import ntu


def get_config(variant: str = "mgcam+dkd") -> ConfigDict:
    """Returns the locked config of a variant; see configs/ntu.py for their names."""
    config = ntu.get_config(variant)
    with config.unlocked():
        config.name = "demo"
        config.data.dir = "runs/demo/data"
        config.data.segments = 4  # Half the paper's, for time.
        config.data.resize = 72  # The demo's footage has no more pixels to give.
        config.data.crop = 64
        config.data.rgb_jitter = (0.2, 0.2)  # A few hundred clips overfit soon.
        config.data.ir_jitter = (0.2, 0.2)
        config.data.threads = 2
        for network in (config.teacher, config.student):
            network.width = 16
            network.batch_size = 16
            network.dropout = 0.2  # A quarter of the features is left to drop from.
        config.teacher.epochs = 30
        config.student.epochs = 30
        config.optimizer.learning_rate = 0.05  # From scratch: no ImageNet weights to preserve.
        config.optimizer.schedule = "cosine"
        config.optimizer.warmup_epochs = 1.0
        config.evaluation.batch_size = 32
        config.evaluation.every_epochs = 10
    return config
