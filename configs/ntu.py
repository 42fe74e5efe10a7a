"""The paper's run on NTU RGB+D's ten classes.

    python -m rgb2ir_jax.main --config=configs/ntu.py[:VARIANT] --workdir=DIR --config.data.dir=DIR

VARIANT: `teacher` (RGB alone), `student` (infrared alone), `tstdd` (three infrared students whose scores
are added up: docs/tstdd.md), or distillation methods of configs/methods.py joined by `+`: `dkd`, `at`,
`rkd+dkd`, `mgcam-sharp`, ... The default is `mgcam+dkd`, the paper's full method.

Networks start from random weights; TSN's start from ImageNet's, which have to be asked for
(--config.teacher.init=imagenet1k_v1 --config.student.init=imagenet1k_v1; docs/weights.md). TSN then
freezes all but the first BatchNorm (--config.teacher.batch_norm=partial), and lets a crop's height and
width differ by one scale, which is not followed.

Each field says where its value comes from. "Paper silent" marks a choice that the paper does not
state; it is then what users of temporal segment networks (TSN) do, by the authors' PyTorch code
(yjxiong/tsn-pytorch).
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs.methods import distillation


def get_config(variant: str = "mgcam+dkd") -> ConfigDict:
    """Returns the locked config of a variant; an unknown one raises ValueError."""
    # A field and its source stand on one line.
    # fmt: off
    config = ConfigDict()
    config.name = "ntu"  # In results and titles.
    config.variant = variant  # What was asked for after the colon.
    config.seed = 0  # Drives weights, order, augmentation and dropout. Paper silent.
    config.smoke = False  # True: a look in a minute. Full networks and frames, a few steps and clips.
    config.compute_dtype = "auto"  # "float32", "bfloat16", or "auto": bfloat16 on GPU. Paper silent.
    config.deterministic = False  # True: GPU kernels that give the same bits each time; slower (docs/training.md).

    config.data = ConfigDict()
    config.data.name = "ntu_rgbd_ir"  # The builder in data_builders/.
    config.data.config = "ten_class_xsub"  # Ten classes: sec. 4.1. Split: paper silent; also ten_class_xview.
    config.data.dir = "~/tensorflow_datasets"  # What `tfds build --data_dir` was given.
    config.data.train_split = "train"  # The builder's names; slices such as "train[:25%]" work.
    config.data.test_split = "test"
    config.data.segments = 8  # Sec. 4.2.
    config.data.sampling = "segments"  # One frame of each of them; "dense": so many frames in a row. Paper: TSN's.
    config.data.frame_stride = 1  # Of "dense": every so many-th frame.
    config.data.resize = 256  # Short side in pixels before the crop. Paper silent; TSN's.
    config.data.crop = 224  # Side of the square input in pixels. Paper silent; TSN's.
    config.data.train_scales = (1.0, 0.875, 0.75, 0.66)  # Crop side / short side. Paper silent; TSN's.
    config.data.train_reach = 1.0  # How far crops go to the sides, 0 to 1. Paper silent; TSN's corners.
    config.data.flip_probability = 0.5  # Of a clip, mirrored in both modalities. Paper silent; TSN's.
    config.data.rgb_jitter = (0.0, 0.0)  # Brightness, contrast. Paper silent; TSN has none.
    config.data.ir_jitter = (0.0, 0.0)  # The same for infrared.
    config.data.cache = ""  # Folder for decoded frames (fast, large: docs/datasets.md); "": none. Changes no number.
    config.data.on_device = False  # True: training's cached frames lie in the devices' memory. Changes no number.
    config.data.workers = 0  # Loader processes; 0: threads of the training process alone.
    config.data.threads = 4  # Decoding threads (of each worker process).
    config.data.prefetch = 4  # Batches that are kept ready.

    config.teacher = ConfigDict()
    config.teacher.modality = "rgb"  # Sec. 3.1. Or any other that the records hold: "ir", "depth", "flow".
    # Light for dark frames, before mean and std: "zero_dce", "gamma", None (docs/enhancement.md). Paper: none.
    config.teacher.enhance = placeholder(str)
    config.teacher.enhance_weights = ""  # Of "zero_dce": a file that configs/zero_dce.py wrote, or the authors'.
    config.teacher.gamma = 1.8  # Of "gamma": pixels ** (1 / gamma). Our choice.
    # "": a ResNet of `depth`. Or "resnet50" and the like, "r2plus1d_18", "r2plus1d_34", whose names say it.
    config.teacher.backbone = ""
    config.teacher.temporal_head = "mean"  # Of R(2+1)D: or "bert" (docs/weights.md).
    config.teacher.depth = 50  # Sec. 4.2.
    config.teacher.width = 64  # Channels of the stem; 64 is the published ResNet.
    config.teacher.in_channels = 3  # Red, green, blue.
    config.teacher.zero_init_residual = False  # Blocks start as the identity. Paper silent; torchvision's.
    config.teacher.dropout = 0.5  # Before the classifier. Paper silent; TSN's range is 0.5 to 0.8.
    config.teacher.mean = (0.485, 0.456, 0.406)  # ImageNet's, of pixels / 255. Paper silent; TSN's.
    config.teacher.std = (0.229, 0.224, 0.225)  # ImageNet's too.
    config.teacher.batch_size = 16  # Clips. Sec. 4.2.
    config.teacher.epochs = 80  # Sec. 4.2.
    config.teacher.learning_rate_factor = 1.0  # On optimizer.learning_rate. Paper: one rate.
    # TSN freezes all but the first ("partial"), which takes weights that are trained already.
    config.teacher.batch_norm = "train"  # or "partial", "frozen", "replica" (docs/training.md). Paper silent.
    config.teacher.accumulate = 1  # Micro-batches a step; batch graphs then see a micro-batch. Paper silent.
    config.teacher.init = ""  # First weights: a file, a folder, or "imagenet1k_v1" (docs/weights.md); "": random.
    config.teacher.temporal_shift = False  # TSM: segments exchange channels. Paper: no.
    config.teacher.stride_in_1x1 = False  # Bottlenecks of version 1. Paper silent; torchvision's are 1.5.
    config.teacher.checkpoint = ""  # A work directory with a trained teacher to reuse; "": train one first.

    config.teachers = ()  # Several trained teachers to learn from at once, as ('DIR', 'DIR'). Paper: one.

    config.student = ConfigDict()
    config.student.modality = "ir"  # Sec. 3.1. Or another one, the teacher's too.
    # "frame", "differences", "flow" or "global_image" (docs/tstdd.md); of a student alone. Paper: frames.
    config.student.stream = "frame"
    config.student.stream_length = 5  # Differences or flows of one picture; of six frames in a row. TSN's.
    config.student.global_frames = 16  # That a global image is made of, spread over the clip. Our choice.
    config.student.enhance = placeholder(str)  # As the teacher's; it stays part of the trained student.
    config.student.enhance_weights = ""  # As the teacher's.
    config.student.gamma = 1.8  # As the teacher's.
    config.student.backbone = ""  # As the teacher's.
    config.student.temporal_head = "mean"  # As the teacher's.
    config.student.depth = 18  # Sec. 4.2.
    config.student.width = 64  # As the teacher's.
    config.student.in_channels = 1  # Infrared is one channel stored three times. Paper silent.
    config.student.zero_init_residual = False  # As the teacher's.
    config.student.dropout = 0.5  # Paper silent; as the teacher's.
    config.student.mean = (0.449,)  # The average of ImageNet's three. Paper silent.
    config.student.std = (0.226,)
    config.student.batch_size = 8  # Clips. Sec. 4.2.
    config.student.epochs = 80  # Sec. 4.2.
    config.student.learning_rate_factor = 1.0  # As the teacher's.
    config.student.init = ""  # As the teacher's.
    config.student.temporal_shift = False  # As the teacher's.
    config.student.stride_in_1x1 = False  # As the teacher's.
    config.student.batch_norm = "train"  # As the teacher's.
    config.student.accumulate = 1  # As the teacher's.

    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"  # or "adamw". Paper silent; TSN's.
    config.optimizer.learning_rate = 0.001  # Sec. 4.2.
    config.optimizer.momentum = 0.9  # AdamW's first moment too. Paper silent; TSN's.
    config.optimizer.nesterov = False  # Paper silent; TSN's.
    config.optimizer.weight_decay = 5e-4  # Paper silent; TSN's.
    config.optimizer.decay_spares_norms_and_biases = True  # Paper silent; TSN's.
    config.optimizer.bias_rate_factor = 2.0  # On the rate of biases, norms' excepted. Paper silent; TSN's.
    config.optimizer.classifier_rate_factor = 1.0  # On the last layer's. Paper silent; TSM's code can have 5.
    config.optimizer.connector_rate_factor = 1.0  # On that of what methods add to the student. Paper silent.
    config.optimizer.label_smoothing = 0.0  # Share of the label for all classes. Paper silent; TSN has none.
    config.optimizer.average_decay = 0.0  # Of a moving average, then tested and kept; 0: none. TSN has none.
    config.optimizer.clip_norm = 20.0  # Global gradient norm, 0: off. Paper silent; TSN's for RGB.
    config.optimizer.schedule = "step"  # "constant", "step" or "cosine". Paper silent; TSN's.
    config.optimizer.decay_at = (0.375, 0.75)  # Shares of the training: epochs 30 and 60 of TSN's 80.
    config.optimizer.decay_factor = 10.0  # The rate is divided by it. Paper silent; TSN's.
    config.optimizer.warmup_epochs = 0.0  # Linear. Paper silent; TSN has none.

    # The methods' weights and options: configs/methods.py.
    config.distill = distillation("student" if variant == "tstdd" else variant)

    config.tstdd = ConfigDict()  # Of the variant `tstdd`, the streams of Liu et al., 2018: docs/tstdd.md.
    config.tstdd.local = "differences"  # or "flow", which is theirs, and is computed on the host.
    config.tstdd.weights = (1.0, 1.0, 1.0)  # Of frame, local, global. Ours: they train an SVM instead.
    config.tstdd.fusion = "probabilities"  # What is added up; or "logits". Ours.

    config.mesh = ConfigDict()  # docs/launch.md.
    config.mesh.model = 1  # Devices that share one copy of the classifier; 1: each has its own. Changes no number.
    config.mesh.graphs = "batch"  # or "replica": methods compare the clips of a device's part of the batch alone.

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 16  # Clips. Changes no number.
    config.evaluation.segments = 0  # Frames of a clip; 0: data.segments. Paper silent; TSN tests 25.
    config.evaluation.crops = 1  # Of a frame: 1, 3 or 10. Paper silent; TSN tests 10.
    config.evaluation.every_epochs = 5  # During training; the last epoch is always tested. Paper silent.

    config.checkpoint = ConfigDict()  # docs/training.md. All but best_metric change no number.
    config.checkpoint.every_epochs = 1  # What a crash can cost; 0: not by epochs.
    config.checkpoint.every_steps = 0  # And at multiples of so many steps; 0: not by steps.
    config.checkpoint.every_minutes = 30.0  # And when the last one is so old; 0: not by time.
    config.checkpoint.keep = 2  # The newest ones.
    config.checkpoint.keep_best = 1  # And the best ones: saved at every evaluation then. 0: none.
    config.checkpoint.best_metric = "test/top1"  # or "test/top5", "test/mean_class_accuracy", "test/loss".

    config.early_stopping = ConfigDict()  # By checkpoint.best_metric. Paper silent; TSN has none.
    config.early_stopping.patience = 0  # Ends a phase after so many epochs without an improvement; 0: never.
    config.early_stopping.min_delta = 0.0  # What counts as an improvement, in the metric's unit.

    config.guard = ConfigDict()
    config.guard.nonfinite = "stop"  # or "skip": leaves out updates whose loss or gradient is no number.
    config.guard.max_skipped = 10  # Of a phase, with "skip"; one more stops it.

    config.figures = ConfigDict()  # PNG files and TensorBoard; docs/training.md. Change no number.
    config.figures.inputs = 6  # Training clips in inputs.png, as the networks see them; 0: no picture.
    config.figures.activations = 4  # Test clips in activations.png, drawn at each evaluation; 0: no picture.

    config.profile = False  # True: an xprof trace of a few steps (docs/training.md). Changes no number.
    config.log_every_steps = 20  # A line of metrics; TSN's print frequency. Changes no number.
    config.limit_train_steps = 0  # Stops a phase after so many steps; 0: no limit. For trying things out.
    config.limit_test_clips = 0  # Tests on so many clips; 0: all. For trying things out.
    # fmt: on
    return config.lock()
