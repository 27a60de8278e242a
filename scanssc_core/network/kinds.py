"""The networks that there are, by the kind that a checkpoint names."""

from scanssc_core.network.config import ScanSSCConfig
from scanssc_core.network.lite import Lite, LiteConfig
from scanssc_core.network.scanssc import ScanSSC

OccupancyConfig = ScanSSCConfig | LiteConfig
OccupancyNetwork = ScanSSC | Lite

#: Configuration of each kind.
KINDS: dict[str, type[OccupancyConfig]] = {"scanssc": ScanSSCConfig, "lite": LiteConfig}


def make_network(config: OccupancyConfig) -> OccupancyNetwork:
    """The network of a configuration, with the weights that training starts from."""
    return Lite(config) if isinstance(config, LiteConfig) else ScanSSC(config)
