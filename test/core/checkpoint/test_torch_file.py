"""Torch files are read without running them, whatever classes they carry."""

import argparse
import builtins
import collections
import enum
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from peak_memory import at_most_mib

from scanssc_core.checkpoint.torch_file import is_torch_file, read_state_dict


class Stage(enum.Enum):
    FITTING = "fit"


class ConfigDict(dict):
    """A dict with attributes, as configuration libraries have them."""


class OldStyle:
    """A class that the reader's machine may not have."""

    def __init__(self):
        self.values = [1, 2]
        self.where = pathlib.PurePosixPath("/somewhere")


def state_dict():
    generator = torch.Generator().manual_seed(0)
    state = collections.OrderedDict(
        weight=torch.randn(3, 4, generator=generator),
        transposed=torch.randn(3, 4, generator=generator).T,
        part=torch.arange(10)[3:7],
        scalar=torch.tensor(7),
        half=torch.randn(2, generator=generator).half(),
        brain=torch.randn(2, generator=generator).bfloat16(),
        flags=torch.tensor([True, False]),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


def lightning_file():
    """What PyTorch-Lightning 1.7 writes, with the classes that find their way into it."""
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [20_000])
    config = ConfigDict(data_root=pathlib.PosixPath("data"), model=ConfigDict(bins=np.arange(3)), stage=Stage.FITTING)
    config.file = "scanssc.py"
    return {
        "epoch": 25,
        "global_step": np.int64(25_000),
        "pytorch-lightning_version": "1.7.0",
        "state_dict": state_dict(),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 26}}}, "old": OldStyle()},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val/mIoU'}": {"best_model_score": torch.tensor(0.17), "k": OldStyle}
        },
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict()],
        "hparams_name": "config",
        "hparams_type": OldStyle,
        "hyper_parameters": {"config": config, "args": argparse.Namespace(seed=7240), "seen": {1, 2}, "c": 1j},
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_lightning_file_with_foreign_classes_gives_its_weights(tmp_path, zipped):
    path = tmp_path / "lightning.ckpt"
    torch.save(lightning_file(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert is_torch_file(path) and zipfile.is_zipfile(path) == zipped
    read, expected = read_state_dict(path), state_dict()
    assert list(read) == list(expected)
    for name, value in expected.items():
        assert read[name].dtype == value.dtype
        torch.testing.assert_close(read[name], value.detach(), rtol=0, atol=0)


def test_classes_that_do_not_exist_here_do_not_matter(tmp_path):
    path = tmp_path / "foreign.ckpt"
    torch.save(lightning_file(), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes().replace(b"OldStyle", b"NewStyle").replace(b"ConfigDict", b"ConfigDxct")
    path.write_bytes(content)
    assert list(read_state_dict(path)) == list(state_dict())


def test_bare_dict_of_tensors_is_a_state_dict(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "bare.pth")
    assert read_state_dict(tmp_path / "bare.pth")["weight"].tolist() == [1, 1]


class Calls:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Only to be accepted as a function by the pickler."""


def attacks(marker):
    command = f"touch {marker}"
    return {
        "system": Calls(os.system, command),
        "eval": Calls(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "open": Calls(open, str(marker), "w"),
        "nested": Calls(Calls(getattr, Calls(__import__, "os"), "system"), command),
        "apply": Calls(map, os.system, [command]),
        "in a tensor's place": Calls(
            torch._utils._rebuild_tensor_v2, Calls(os.system, command), 0, (1,), (1,), False, None
        ),
        "torch.load": Calls(torch.load, str(marker)),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("attack", attacks(""))
def test_hostile_file_does_nothing(tmp_path, attack, zipped):
    marker = tmp_path / "executed"
    path = tmp_path / "hostile.ckpt"
    hostile = attacks(marker)[attack]
    torch.save({"state_dict": {"a": torch.ones(1)}, "callbacks": hostile}, path, _use_new_zipfile_serialization=zipped)
    assert read_state_dict(path)["a"].tolist() == [1]
    torch.save({"state_dict": {"a": hostile}}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"hostile\.ckpt: .*a is no plain tensor"):
        read_state_dict(path)
    assert not marker.exists()


def write_pickle(path, program):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)


@pytest.mark.parametrize(
    "target", [b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"]
)
def test_known_names_cannot_be_changed(tmp_path, target):
    """BUILD with a pair sets attributes of what is on the stack: it must not reach what we lend to the pickle."""
    path = tmp_path / "hostile.ckpt"
    write_pickle(path, b"\x80\x02" + target + b"N}U\x08__init__K\x01s\x86b.")
    with pytest.raises(ValueError, match=r"hostile\.ckpt"):
        read_state_dict(path)
    torch.save({"a": torch.ones(1)}, path)
    assert read_state_dict(path)["a"].tolist() == [1]


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x7f", b"p2000000000\n"], ids=["LONG_BINPUT", "PUT"])
def test_a_number_to_keep_something_under_makes_no_list_of_that_length(tmp_path, put):
    path = tmp_path / "hostile.ckpt"
    write_pickle(path, b"\x80\x02}" + put + b".")
    with at_most_mib(128), pytest.raises(ValueError, match=r"hostile\.ckpt is damaged or incomplete \(.*PUT 2"):
        read_state_dict(path)


def test_tensor_beyond_its_storage_is_refused(tmp_path):
    numbers = torch.ones(4)
    path = tmp_path / "torn.ckpt"
    for size, stride, offset in (((5,), (1,), 0), ((2,), (1,), 3), ((10**9,), (0,), 0)):
        storage = numbers.untyped_storage()
        program = Calls(
            torch._utils._rebuild_tensor_v2,
            torch.storage.TypedStorage(wrap_storage=storage, dtype=numbers.dtype),
            offset,
            size,
            stride,
            False,
            collections.OrderedDict(),
        )
        torch.save({"state_dict": {"a": program}}, path)
        with pytest.raises(ValueError, match=r"torn\.ckpt"):
            read_state_dict(path)


def test_tied_weights_are_read_and_no_storage_is_read_into_memory_a_thousandfold(tmp_path):
    path = tmp_path / "tied.ckpt"
    weight = torch.arange(100_000)
    torch.save({"a": weight, "b": weight}, path)
    assert torch.equal(read_state_dict(path)["b"], weight)
    torch.save({str(index): weight for index in range(1000)}, path)
    with at_most_mib(100):
        with pytest.raises(ValueError, match=r"tied\.ckpt: .*tensors of 800,000,000 bytes share 800,000"):
            read_state_dict(path)
        torch.save({str(index): weight[index : index + 1] for index in range(1000)}, path)
        assert [int(tensor) for tensor in read_state_dict(path).values()] == list(range(1000))


@pytest.mark.parametrize("packer", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_zip_file_is_refused_unread(tmp_path, packer):
    """A kilobyte can hold gigabytes; torch.save packs nothing."""
    torch.save({"a": torch.zeros(1000)}, tmp_path / "good.ckpt")
    path = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(tmp_path / "good.ckpt") as good, zipfile.ZipFile(path, "w", packer) as archive:
        for name in good.namelist():
            archive.writestr(name, good.read(name))
    with pytest.raises(ValueError, match=r"packed\.ckpt: .*data\.pkl is packed, as torch\.save does not do"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"rubbish", pickle.dumps([1, 2])])
def test_other_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "file.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.ckpt is no torch file"):
        read_state_dict(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.2, 0.9])
def test_cut_file_is_damaged_or_incomplete(tmp_path, zipped, kept):
    path = tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"a": torch.ones(1000)}}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cut\.ckpt is damaged or incomplete \(.+\): copy or download it again"):
        read_state_dict(path)


def test_zip_file_with_a_flipped_bit_is_damaged(tmp_path):
    path = tmp_path / "flipped.ckpt"
    torch.save({"state_dict": {"a": torch.ones(1000)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped\.ckpt is damaged or incomplete"):
        read_state_dict(path)


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_prefixes_of_what_a_network_is_wrapped_in_are_left_out(tmp_path, prefix):
    torch.save({"state_dict": {f"{prefix}neck.module.weight": torch.ones(2)}}, tmp_path / "wrapped.ckpt")
    assert list(read_state_dict(tmp_path / "wrapped.ckpt")) == ["neck.module.weight"]


def test_entries_that_differ_in_a_prefix_only_are_refused(tmp_path):
    torch.save({"module.a": torch.ones(2), "a": torch.zeros(2)}, tmp_path / "twice.pth")
    with pytest.raises(ValueError, match=r"twice\.pth: .*differ only in a prefix"):
        read_state_dict(tmp_path / "twice.pth")
