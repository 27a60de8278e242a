"""The services of the map: forget, ask, save, load."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from geometry_msgs.msg import Point
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import Trigger

from scanssc_core.mapping.files import load_map, save_map
from scanssc_core.mapping.semantic_map import SemanticMap
from scanssc_ros.mapping.fusion import GridFusion
from scanssc_ros.mapping.parameters import MapParameters
from scanssc_ros.srv import ClearBox, MapFile, QueryBox

Response = TypeVar("Response")


class MapServices:
    """Serves on construction; `close` ends it. What cannot be done is answered with the reason.

    Args:
        node: owner of the services.
        fusion: has the map.
        on_changed: called after the map was changed by a service.
    """

    def __init__(
        self, node: LifecycleNode, parameters: MapParameters, fusion: GridFusion, on_changed: Callable[[], None]
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._fusion = fusion
        self._on_changed = on_changed
        self._services = [
            node.create_service(service_type, f"~/{name}", self._answering(handle))
            for name, service_type, handle in (
                ("clear", Trigger, self._clear),
                ("clear_box", ClearBox, self._clear_box),
                ("query_box", QueryBox, self._query_box),
                ("save_map", MapFile, self._save),
                ("load_map", MapFile, self._load),
            )
        ]

    def close(self) -> None:
        """Stop serving."""
        for service in self._services:
            self._node.destroy_service(service)
        self._services.clear()

    def _answering(self, handle: Callable) -> Callable:
        """The handler, with its errors as answers."""

        def answer(request: object, response: Response) -> Response:
            try:
                with self._fusion.lock:
                    handle(request, response)
            except (ValueError, OSError) as error:
                response.success, response.message = False, str(error)  # type: ignore[attr-defined]
            else:
                response.success = True  # type: ignore[attr-defined]
            return response

        return answer

    @property
    def _map(self) -> SemanticMap:
        if self._fusion.semantic_map is None:
            raise ValueError("there is no map: no grid has been fused yet")
        return self._fusion.semantic_map

    def _clear(self, request: Trigger.Request, response: Trigger.Response) -> None:
        self._map.clear()
        self._on_changed()

    def _clear_box(self, request: ClearBox.Request, response: ClearBox.Response) -> None:
        response.num_voxels = self._map.clear_box(_corner(request.low), _corner(request.high))
        self._on_changed()

    def _query_box(self, request: QueryBox.Request, response: QueryBox.Response) -> None:
        semantic_map = self._map
        content = semantic_map.query_box(_corner(request.low), _corner(request.high))
        response.class_names = list(semantic_map.class_names)
        response.num_voxels = [content.num_voxels[name] for name in semantic_map.class_names]
        response.num_unknown = content.num_unknown
        response.nearest_class = content.nearest_class
        if content.nearest_m is not None:
            response.nearest = Point(**dict(zip("xyz", content.nearest_m.tolist(), strict=True)))

    def _save(self, request: MapFile.Request, response: MapFile.Response) -> None:
        path = _path(request)
        save_map(path, self._map, self._parameters.odometry_frame)
        response.message = f"saved {path}, {path.stat().st_size / 1e6:.1f} MB"
        self._node.get_logger().info(response.message)

    def _load(self, request: MapFile.Request, response: MapFile.Response) -> None:
        path, frame_id = _path(request), self._parameters.odometry_frame
        semantic_map, saved_frame_id = load_map(path, self._parameters.map_config)
        if saved_frame_id != frame_id:
            raise ValueError(f"{path} is a map in {saved_frame_id!r}, but odometry_frame is {frame_id!r}")
        self._fusion.semantic_map = semantic_map
        response.message = f"loaded {path}"
        self._node.get_logger().info(response.message)
        self._on_changed()


def _path(request: MapFile.Request) -> Path:
    path = Path(request.file)
    if not path.is_absolute() or path.suffix != ".npz":
        raise ValueError(f"file: expected an absolute path that ends in .npz, got {request.file!r}")
    return path


def _corner(point: Point) -> tuple[float, float, float]:
    return point.x, point.y, point.z
