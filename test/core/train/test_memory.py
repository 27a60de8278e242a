from copy import deepcopy

import torch

from core.train.small import MICRO, Street
from scanssc_core.datasets.dataset import camera_of, collate
from scanssc_core.network.scanssc import ScanSSC
from scanssc_core.train.activation_checkpointing import checkpoint_activations


def test_activation_checkpointing_changes_neither_output_gradient_nor_statistics():
    torch.manual_seed(0)
    plain = ScanSSC(MICRO).train()
    saving = deepcopy(plain)
    checkpoint_activations(saving)
    batch = collate([Street(2)[0], Street(2)[1]])
    weight = torch.randn(2, 20, *MICRO.label_grid.shape)
    results = []
    for model in (plain, saving):
        torch.manual_seed(1)  # dropout
        logits = model(batch["image"], batch["depth_m"], camera_of(batch)).logits
        (logits * weight).sum().backward()
        results.append((logits, {name: value.grad for name, value in model.named_parameters()}, model.state_dict()))
    (logits, gradients, state), (saving_logits, saving_gradients, saving_state) = results
    assert torch.equal(logits, saving_logits)
    for name, gradient in gradients.items():
        assert torch.allclose(saving_gradients[name], gradient, rtol=1e-4, atol=1e-6), name
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(saving_state[name], value), name


def test_activation_checkpointing_computes_blocks_twice():
    model = ScanSSC(MICRO).train()
    calls = []
    model.head.layers[0].register_forward_pre_hook(lambda *_: calls.append("head"))
    checkpoint_activations(model)
    batch = collate([Street(2)[0], Street(2)[1]])
    model(batch["image"], batch["depth_m"], camera_of(batch)).logits.sum().backward()
    assert calls == ["head", "head"]
