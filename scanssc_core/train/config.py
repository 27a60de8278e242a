"""What a training run is set by. Every field is a flag of `scanssc train`; its help is its line under Attributes."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from scanssc_core.datasets.augmentation import AugmentationConfig
from scanssc_core.losses.total import LossConfig
from scanssc_core.network.config import kitti360, semantic_kitti
from scanssc_core.network.kinds import OccupancyConfig
from scanssc_core.network.lite import LiteConfig


@dataclass(frozen=True)
class DataConfig:
    """Which samples a run trains and validates on.

    Attributes:
        roots: data set in its official layout; several are mixed.
        root_weights: share of each root in the samples; an empty list: by number of frames.
        loss_weights: factor of the loss of each root's samples; an empty list: 1.
        train_sequences: sequences to train on, of each root those that it has; or train: the published split. Other
            commands, which have one kind, take --sequence.
        val_sequences: sequences to validate on, or val: the published split; an empty list: no validation.
        val_root: root to validate on; if not given, the first root.
        depth_dir: folder of the depth maps within each root.
        epoch_frames: samples that count as an epoch; 0: the number of frames.
        num_workers: loader processes; 0 loads in the training process.
    """

    roots: tuple[Path, ...] = ()
    root_weights: tuple[float, ...] = ()
    loss_weights: tuple[float, ...] = ()
    train_sequences: tuple[str, ...] = ("train",)
    val_sequences: tuple[str, ...] = ("val",)
    val_root: Path | None = None
    depth_dir: str = "depth"
    epoch_frames: int = 0
    num_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("root_weights", "loss_weights"):
            if len(getattr(self, name)) not in (0, len(self.roots)):
                raise ValueError(f"{name}: expected one for each of {len(self.roots)} roots, got {getattr(self, name)}")
        if self.root_weights and (min(self.root_weights) < 0 or not sum(self.root_weights)):
            raise ValueError(f"root_weights: expected numbers >= 0, not all of them 0, got {self.root_weights}")


@dataclass(frozen=True)
class TrainConfig:
    """How a run trains. The defaults are the published SemanticKITTI run (4 processes of one sample each).

    Attributes:
        steps: optimizer steps of the run.
        epochs: length of the run in epochs instead; 0: by steps (the paper: 25).
        schedule: drop (constant, then a tenth) or one_cycle (linear warm-up, then a cosine to zero).
        drop_at: where the rate drops, as a share of the run (published: step 20,000 of 25,000; paper: epoch 20 of 25).
        warmup: share of the run in which one_cycle rises.
        learning_rate: highest learning rate.
        betas: of AdamW (paper: 0.9 0.99).
        weight_decay: of AdamW, on all parameters.
        batch_size: samples of a process at a time.
        accumulate: batches whose gradients make one step.
        gradient_clip: largest norm of the gradient; 0: not clipped.
        precision: float32, or mixed with bfloat16 or float16.
        ema_decay: decay of the moving average of the weights that is validated and exported; 0: none.
        activation_checkpointing: compute activations again in the backward pass instead of keeping them; not of lite.
        sync_norms: batch norms see the samples of all processes.
        single_value_norms: the two norms that see one value a sample: train, eval, or auto (eval if they would see
            one value in all).
        frozen_norms: all batch norms keep the statistics that they start with; for fine-tuning on few frames.
        init: weights to start from: imagenet (lite only), or a file: pretrain_geodepth.pth, the ImageNet file of the
            backbone, any checkpoint; random for none.
        seed: of weights, order of samples, augmentation and dropout.
        deterministic: refuse operations whose result is not the same each time.
        validate_every: steps between validations; 0: only at the end.
        checkpoint_every: steps between checkpoints.
        log_every: steps between lines in the log.
        limit_val: frames to validate on; 0: all.
        num_pictures: validation frames that are drawn.
    """

    steps: int = 25_000
    epochs: float = 0
    schedule: Literal["drop", "one_cycle"] = "drop"
    drop_at: float = 0.8
    warmup: float = 0.05
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    batch_size: int = 1
    accumulate: int = 1
    gradient_clip: float = 0.0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    ema_decay: float = 0.0
    activation_checkpointing: bool = False
    sync_norms: bool = True
    single_value_norms: Literal["auto", "train", "eval"] = "auto"
    frozen_norms: bool = False
    init: str = "random"
    seed: int = 7240
    deterministic: bool = False
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 50
    limit_val: int = 0
    num_pictures: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("epochs", "gradient_clip", "validate_every", "limit_val", "num_pictures", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        for name in ("drop_at", "warmup"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a share in (0, 1], got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay: expected a number in [0, 1), got {self.ema_decay}")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is set by; stored with it as run.json.

    Attributes:
        model: sizes and switches of the model.
        loss: weights of the losses.
        train: optimisation, logs and files.
        data: samples.
        augmentation: of the samples that are trained on.
    """

    model: OccupancyConfig = field(default_factory=semantic_kitti)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        is_lite = isinstance(self.model, LiteConfig)
        of_others = _LOSSES_OF_OTHERS if is_lite else _LOSSES_OF_LITE
        whose = "the lite model does not have" if is_lite else "only the lite model has"
        for name in of_others:
            if getattr(self.loss, name) != (off := getattr(_NO_LOSS, name)):
                raise ValueError(f"loss.{name}: {whose} what this is of; set it to {off}")


# What only one kind of network has, and the values that say that it is not asked for.
_LOSSES_OF_OTHERS = ("depth", "depth_target", "is_distance_weighted")
_LOSSES_OF_LITE = ("occupancy", "segmentation", "sampled_voxels", "teacher", "soft_teacher", "standing")
_NO_LOSS = replace(LossConfig(), depth=0.0)


def _kitti360() -> RunConfig:
    train = TrainConfig(steps=54_000, drop_at=44 / 54, activation_checkpointing=True)
    return RunConfig(model=kitti360(), train=train)


def _lite() -> RunConfig:
    train = replace(
        TrainConfig(),
        schedule="one_cycle",
        learning_rate=2e-3,
        weight_decay=0.05,
        batch_size=4,
        gradient_clip=5.0,
        ema_decay=0.99,
        init="imagenet",
    )
    # The gradient of the occupancy is a sixtieth of that of the semantic affinity (docs/lite.md).
    loss = replace(
        LossConfig(),
        occupancy=30.0,
        geometric_affinity=0.7,
        semantic_affinity=0.3,
        scan=3.0,
        scan_axes=(),
        depth=0.0,
        segmentation=0.5,
        teacher=0.6,
        standing=1.7,
        sampled_voxels=12_288,
    )
    return RunConfig(model=LiteConfig(), train=train, loss=loss)


RUN_CONFIGS = {"semantic_kitti": RunConfig, "kitti360": _kitti360, "lite": _lite}
