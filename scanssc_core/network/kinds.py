"""The networks that there are, by the kind that a checkpoint names: configuration and network of each."""

from typing import NamedTuple

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.lite import Lite, LiteConfig
from scanssc_core.network.scanssc import ScanSSC

OccupancyConfig = ScanSSCConfig | LiteConfig
OccupancyNetwork = ScanSSC | Lite


class Kind(NamedTuple):
    """Configuration and network of a kind."""

    config: type[OccupancyConfig]
    network: type[OccupancyNetwork]


KINDS = {"scanssc": Kind(ScanSSCConfig, ScanSSC), "lite": Kind(LiteConfig, Lite)}


def kind_of(config: OccupancyConfig) -> str:
    """The kind that a configuration is of."""
    return next(name for name, kind in KINDS.items() if kind.config is type(config))


def make_network(config: OccupancyConfig) -> OccupancyNetwork:
    """The network of a configuration, with the weights that training starts from."""
    return Lite(config) if isinstance(config, LiteConfig) else ScanSSC(config)
