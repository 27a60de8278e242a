"""Names of the published state dict and ours: the only place that knows both.

The published model keeps geometry tables in its checkpoint; ours computes them, so those entries are left out.
"""

import re
from collections.abc import Callable

_MMCLS = ("backbone.layers.", "img_backbone.layers.")  # of mmcls, where the backbone is the whole model

_COUNTER = "num_batches_tracked"  # of batch norm; evaluation never reads it
# Tables that are computed from the configuration.
_TABLES = re.compile(
    r"img_view_transformer\.(dx|bx|nx|frustum)|proposal_layer\.image_grid"
    r"|VoxFormer_head\.(image_grid|vox_coords|ref_3d)"
)

_Replacement = str | Callable[[re.Match[str]], str]

_RULES: tuple[tuple[str, _Replacement], ...] = (
    (r"img_backbone\.layers\.0\.", "backbone.stem."),
    (r"img_backbone\.layers\.6\.", "backbone.last."),
    (r"img_backbone\.layers\.(\d+)", lambda found: f"backbone.stages.{int(found[1]) - 1}"),
    (r"\.expand_conv\.", ".expand."),
    (r"\.depthwise_conv\.", ".depthwise."),
    (r"\.linear_conv\.", ".project."),
    (r"\.se\.conv1\.conv\.", ".se.reduce."),
    (r"\.se\.conv2\.conv\.", ".se.expand."),
    (r"img_neck\.deblocks\.", "neck.levels."),
    (r"depth_net\.depth_net\.(context|depth)_mlp\.", r"depth_net.mono.\1_gate."),
    (r"depth_net\.depth_net\.(context|depth)_se\.", r"depth_net.mono.\1_gate."),
    (r"depth_net\.depth_net\.", "depth_net.mono."),
    (r"\.aspp(\d)\.atrous_conv\.", lambda found: f".branches.{int(found[1]) - 1}.0."),
    (r"\.aspp(\d)\.bn\.", lambda found: f".branches.{int(found[1]) - 1}.1."),
    (r"\.global_avg_pool\.", ".pooled."),
    (r"depth_net\.stereo_volume_encoder\.Unet\.0\.", "depth_net.stereo.hourglass."),
    (r"depth_net\.stereo_volume_encoder\.", "depth_net.stereo."),
    (r"depth_net\.depth_aggregation\.UNet_3D\.", "depth_net.aggregation.hourglass."),
    (r"depth_net\.depth_aggregation\.", "depth_net.aggregation."),
    (r"(hourglass\.conv[1-4]\.)0\.", r"\1"),
    (r"\.neighbor_atttention\.", "."),
    (r"VoxFormer_head\.volume_embed\.", "volume_embedding."),
    (r"VoxFormer_head\.mlp_prior\.", "prior_mlp."),
    (r"VoxFormer_head\.positional_encoding\.", "self_attention.positions."),
    (r"VoxFormer_head\.axis_positional_encoding\.", "scan.positions."),
    (r"VoxFormer_head\.(depth|height|width)_block\.scanblocklayer\.", r"scan.blocks.\1."),
    (r"VoxFormer_head\.cross_transformer\.(encoder\.)?", "cross_attention."),
    (r"VoxFormer_head\.self_transformer\.encoder\.", "self_attention."),
    (r"\.attentions\.0\.(deformable_attention\.)?", ".attention."),
    (r"\.ffns\.0\.layers\.0\.0\.", ".ffn.layers.0."),
    (r"\.ffns\.0\.layers\.1\.", ".ffn.layers.3."),
    (r"\.norms\.0\.", ".norm1."),
    (r"\.norms\.1\.", ".norm2."),
    (r"occ_encoder_backbone\.(depth|height|width)_mixer\.local_encoder_backbone\.layers\.", r"mixing.\1.stages."),
    (r"occ_encoder_backbone\.(depth|height|width)_mixer\.local_encoder_neck\.", r"mixing.\1.neck."),
    (r"(mixing\..*\.)conv(\d)\.conv\.", r"\1conv\2."),
    (r"(mixing\..*\.)conv(\d)\.bn\.", r"\1bn\2."),
    (r"\.downsample\.conv\.", ".shortcut.0."),
    (r"\.downsample\.bn\.", ".shortcut.1."),
    (r"\.lateral_convs\.(\d)\.conv\.", r".laterals.\1.0."),
    (r"\.lateral_convs\.(\d)\.gn\.", r".laterals.\1.1."),
    (r"\.fpn_convs\.(\d)\.conv\.", r".merges.\1.0."),
    (r"\.fpn_convs\.(\d)\.gn\.", r".merges.\1.1."),
    (r"occ_encoder_backbone\.combine_coeff\.0\.", "fusion.coefficients."),
    (r"pts_bbox_head\.occ_convs\.0\.", "head.layers."),
)


def canonical_name(stored: str) -> str:
    """The published name of an entry as one of the files stores it."""
    mmcls, published = _MMCLS
    return published + stored.removeprefix(mmcls) if stored.startswith(mmcls) else stored


def is_counter(name: str) -> bool:
    """Whether an entry, ours or published, is a counter of batch norm."""
    return name.endswith(_COUNTER)


def is_unused(published: str) -> bool:
    """Whether an entry of the published state dict is deliberately left out."""
    return is_counter(published) or _TABLES.fullmatch(published) is not None


def to_our_name(published: str) -> str:
    """Our name of a published entry."""
    name = published
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
