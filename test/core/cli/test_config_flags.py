"""Flags that come from typed configurations."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

import pytest
import typer
from typer.testing import CliRunner

from scanssc_core.cli.app import app
from scanssc_core.cli.config_flags import apply_flags, describe_fields, flags_of, with_flags
from scanssc_core.cli.train import config_flags, configure
from scanssc_core.train.config import RUN_CONFIGS


@dataclass(frozen=True)
class Inner:
    """Inside.

    Attributes:
        size: how large
            it is.
    """

    size: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    """Outside.

    Attributes:
        name, other: texts.
        kind: which.
        is_on: switch.
        parts: several.
        inner: more.
    """

    name: str = "a"
    other: str | None = None
    kind: Literal["x", "y"] = "x"
    is_on: bool = False
    parts: tuple[str, ...] = ("p",)
    inner: Inner = Inner()


def parse(*arguments):
    seen = []

    def command(needed: str = typer.Option(), **flags: object) -> None:
        seen.append(apply_flags(Outer(), flags, "o_"))

    app = typer.Typer()
    app.command()(with_flags(command, flags_of(Outer(), "o_", "outer")))
    result = CliRunner().invoke(app, ["--needed", "x", *arguments])
    assert result.exit_code == 0, result.output
    return seen[0]


def test_without_flags_the_configuration_is_as_it_was():
    assert parse() == Outer()


def test_every_kind_of_field_can_be_set():
    flags = ["--o-name", "b", "--o-other", "c", "--o-kind", "y", "--o-is-on", "--o-inner-size", "3", "4"]
    expected = Outer("b", "c", "y", True, ("q", "r"), Inner((3, 4)))
    assert parse(*flags, "--o-parts", "q", "--o-parts", "r") == expected
    assert parse("--o-parts", "none") == Outer(parts=())


def test_a_field_without_a_word_is_refused():
    @dataclass(frozen=True)
    class Silent:
        """No help."""

        size: int = 1

    with pytest.raises(ValueError, match="no line under Attributes for size"):
        describe_fields(Silent)
    assert describe_fields(Inner) == {"size": "how large it is."}


def test_every_field_of_a_run_has_a_flag_with_help():
    def names(config, prefix):
        for field in fields(config):
            value = getattr(config, field.name)
            yield from names(value, f"{prefix}{field.name}_") if is_dataclass(value) else [f"{prefix}{field.name}"]

    prefixes = {"train": "", "data": "", "augmentation": "augment_", "loss": "loss_", "model": "model_"}
    expected = {
        name
        for make_config in RUN_CONFIGS.values()
        for section, prefix in prefixes.items()
        for name in names(getattr(make_config(), section), prefix)
    }
    flags = config_flags()
    assert {flag.name for flag in flags} == expected - {"roots"} and len(flags) == len(expected) - 1
    assert all(flag.annotation.__metadata__[0].help for flag in flags)


@pytest.mark.parametrize("name", RUN_CONFIGS)
def test_named_starts_are_kept_but_for_the_flags_given(name, tmp_path):
    config = configure(name, [tmp_path], {"steps": 7, "model_scan_axes": ["none"], "loss_scan": 0.5})
    assert config.train.steps == 7 and config.model.scan.axes == () and config.loss.scan == 0.5
    assert config.data.roots == (tmp_path,)
    assert config.model.num_classes == RUN_CONFIGS[name]().model.num_classes


def test_a_setting_of_another_network_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="--model-fusion: the network of lite has no such setting"):
        configure("lite", [tmp_path], {"model_fusion": "linear", "model_num_bands": 2, "model_grid_shape": None})
    with pytest.raises(ValueError, match="--model-plane-channels: the network of kitti360 has no such setting"):
        configure("kitti360", [tmp_path], {"model_plane_channels": [8, 8]})


def test_unknown_start_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="expected one of semantic_kitti, kitti360, lite, got 'tiny'"):
        configure("tiny", [tmp_path], {})


def test_help_lists_flags_of_all_sections():
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    for flag in ("--learning-rate", "--train-sequences", "--loss-scan-axes", "--model-fusion"):
        assert flag in result.output
