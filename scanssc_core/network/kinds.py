"""The networks that there are, by the kind that a checkpoint names: configuration and network of each."""

from typing import NamedTuple

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.lite import LiteConfig, LiteScanSSC
from scanssc_core.network.scanssc import ScanSSC


class Kind(NamedTuple):
    """Configuration and network of a kind."""

    config: type[ScanSSCConfig]
    network: type[ScanSSC]


KINDS = {"scanssc": Kind(ScanSSCConfig, ScanSSC), "lite": Kind(LiteConfig, LiteScanSSC)}


def kind_of(config: ScanSSCConfig) -> str:
    """The kind that a configuration is of."""
    return next(name for name, kind in KINDS.items() if kind.config is type(config))


def make_network(config: ScanSSCConfig) -> ScanSSC:
    """The network of a configuration, with the weights that training starts from."""
    return KINDS[kind_of(config)].network(config)
