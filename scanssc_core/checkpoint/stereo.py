"""Names of MobileStereoNet's published state dict and ours."""

import re

_RULES = (
    (r"^feature_extraction\.firstconv\.", "features.stem."),
    (r"^feature_extraction\.", "features."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.([01])\.", r"\1.depthwise\2.\3."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.3\.", r"\1.pointwise\2.0."),
    (r"(features\.layer\d\.\d+)\.conv([12])\.4\.", r"\1.pointwise\2.1."),
    (r"\.downsample\.", ".shortcut."),
    (r"^preconv11\.", "volume.reduce."),
    (r"^conv3d\.", "volume.compare."),
    (r"^volume11\.", "volume.cost."),
    (r"^dres0\.", "entry."),
    (r"^dres1\.", "entry_residual."),
    (r"^classif(\d)\.", r"heads.\1."),
    (r"^encoder_decoder1\.", "hourglasses.0."),
    (r"^encoder_decoder2\.", "hourglasses.1."),
    (r"^encoder_decoder3\.", "hourglasses.2."),
    (r"(hourglasses\.\d)\.conv1\.", r"\1.down1."),
    (r"(hourglasses\.\d)\.conv2\.", r"\1.at_half."),
    (r"(hourglasses\.\d)\.conv3\.", r"\1.down2."),
    (r"(hourglasses\.\d)\.conv4\.", r"\1.at_quarter."),
    (r"(hourglasses\.\d)\.conv5\.", r"\1.up1."),
    (r"(hourglasses\.\d)\.conv6\.", r"\1.up2."),
    (r"(hourglasses\.\d)\.redir(\d)\.", r"\1.shortcut\2."),
    (r"\.conv\.([01])\.", r".expand.\1."),
    (r"\.conv\.3\.", ".depthwise.0."),
    (r"\.conv\.4\.", ".depthwise.1."),
    (r"\.conv\.6\.", ".project.0."),
    (r"\.conv\.7\.", ".project.1."),
)


def to_our_name(published: str) -> str:
    """Our name of a published entry (without the prefix `module.`)."""
    name = published
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name
