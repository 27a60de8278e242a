"""A network that another runtime computes, in place of ours: the same inputs, the same labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from scanssc_core.confidence import Calibration
from scanssc_core.engines.graph import CONFIDENCE, DEPTH, IMAGE, LABELS, table_inputs
from scanssc_core.network.camera_inputs import CameraInputs, OfLastCamera
from scanssc_core.network.kinds import OccupancyConfig, make_network

Run = Callable[[Mapping[str, NDArray]], Mapping[str, NDArray]]


@dataclass(frozen=True)
class Engine:
    """A graph that is ready to run.

    Attributes:
        name: of the runtime, with its version.
        input_names: what the graph reads; what a network needs in training alone is not among it.
        metadata: of the file.
        run: inputs by name -> outputs by name.
    """

    name: str
    input_names: frozenset[str]
    metadata: Mapping[str, str]
    run: Run


class EngineNetwork:
    """What backends call of a network, computed by an engine; the tables of a camera are ours.

    Attributes:
        config, calibration: see the checkpoint that was exported.
        device: that takes inputs and gives labels.
    """

    device = torch.device("cpu")

    def __init__(self, engine: Engine, config: OccupancyConfig, calibration: Calibration | None) -> None:
        self.config, self.calibration = config, calibration
        self._engine = engine
        tables_of = make_network(config).tables_of

        def make(camera: CameraInputs) -> dict[str, NDArray]:
            inputs = table_inputs(tables_of(camera))
            return {name: table.numpy() for name, table in inputs.items() if name in engine.input_names}

        self._tables = OfLastCamera(make)

    def predict_labels(
        self,
        image: Tensor,
        depth_m: Tensor,
        camera: CameraInputs,
        with_confidence: bool = True,
        wanted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See LabellingNetwork.predict_labels; a graph labels all voxels, but of lite those that lack a place."""
        inputs = {IMAGE: image.contiguous().numpy(), DEPTH: depth_m.numpy(), **self._tables(camera)}
        outputs = self._engine.run(inputs)
        confidence = torch.from_numpy(outputs[CONFIDENCE]) if with_confidence else None
        return torch.from_numpy(outputs[LABELS]), confidence
