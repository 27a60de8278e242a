"""ImageNet weights of the lite backbone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scanssc_core.checkpoint.imagenet import fold_normalization, lite0_file, lite0_name, load_lite0_imagenet
from scanssc_core.network.config import semantic_kitti
from scanssc_core.network.image.efficientnet import EfficientNet
from scanssc_core.network.image.preprocess import IMAGE_MEAN, IMAGE_STD
from scanssc_core.network.lite import Lite, LiteConfig

WHOLE = replace(LiteConfig().backbone, num_levels=5)

# An input by formula and the first logits that the weights' publishers' network gives for it.
_C, _Y, _X = np.indices((3, 224, 224))
PIXELS = torch.from_numpy(((7 * (_C + _Y + _X)) % 255).astype(np.float32))[None]
LOGITS = (1.22799, -0.31500, 1.09115, -0.79617)


def backbone() -> EfficientNet:
    return EfficientNet(WHOLE).eval()


def test_lite0_gives_the_logits_of_its_publishers():
    state = torch.load(lite0_file(), weights_only=True)
    network = backbone()
    network.load_state_dict({lite0_name(name): value for name, value in state.items() if lite0_name(name)})
    with torch.inference_mode():
        features = network((PIXELS - 127) / 128)[-1].mean(dim=(2, 3))
    logits = features @ state["_fc.weight"].T + state["_fc.bias"]
    np.testing.assert_allclose(logits[0, :4], LOGITS, atol=2e-4)
    assert logits[0].topk(3).indices.tolist() == [807, 905, 619]


def test_folded_weights_see_our_normalisation_as_the_original_ones_see_theirs():
    state = torch.load(lite0_file(), weights_only=True)
    ours = {lite0_name(name): value for name, value in state.items() if lite0_name(name)}
    plain, folded = backbone(), backbone()
    plain.load_state_dict(ours)
    folded.load_state_dict(fold_normalization(ours))
    normalised = (PIXELS / 255 - torch.from_numpy(IMAGE_MEAN)[:, None, None]) / torch.from_numpy(IMAGE_STD)[
        :, None, None
    ]
    with torch.inference_mode():
        expected, actual = plain.stem((PIXELS - 127) / 128), folded.stem(normalised)
    torch.testing.assert_close(actual[..., :-1, :-1], expected[..., :-1, :-1], atol=1e-4, rtol=1e-4)


def test_a_backbone_cut_short_gives_the_first_levels_of_the_whole():
    whole, short = EfficientNet(WHOLE).eval(), EfficientNet(LiteConfig().backbone).eval()
    for backbone in (whole, short):
        load_lite0_imagenet(backbone)
    with torch.inference_mode():
        expected, levels = whole(PIXELS / 255), short(PIXELS / 255)
    assert len(levels) == 3
    for level, of_whole in zip(levels, expected, strict=False):
        torch.testing.assert_close(level, of_whole)


def test_another_backbone_is_refused():
    with pytest.raises(ValueError, match="Lite0"):
        load_lite0_imagenet(EfficientNet(replace(WHOLE, width=1.1)))


def test_the_lite_model_is_small_and_gives_the_published_grid():
    torch.manual_seed(0)
    with torch.device("meta"):
        model = Lite(LiteConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) <= 4_100_000
    assert LiteConfig().label_grid == semantic_kitti().label_grid
