"""Where rays meet a scene first."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.synthetic.rays import Rays
from scanssc_core.synthetic.scene import Scene

GROUND = -1  #: in place of the index of a solid


def cast(scene: Scene, rays: Rays) -> tuple[NDArray, NDArray]:
    """Follow every ray to its first hit.

    Returns:
        (H, W) float32 depth in lengths of the direction, infinity where nothing is hit, and (H, W) int32 index of the
        solid hit, GROUND for the ground and for nothing.
    """
    depth = scene.ground.intersect(rays.origin, rays.directions)
    return depth, meet_solids(scene, rays, depth)


def meet_solids(scene: Scene, rays: Rays, depth: NDArray) -> NDArray:
    """Put the solids of a scene before what the rays have met.

    Args:
        depth: (H, W) float32 of what was met; becomes that of the first hit.
    Returns:
        (H, W) int32 index of the solid hit, GROUND where none is nearer.
    """
    solid_index = np.full(depth.shape, GROUND, np.int32)
    for index, nearest, window in rays.windows(scene.corners):
        seen = depth[window]
        if nearest > seen.max():
            continue
        hit = scene.solids[index].first_hit(rays.origin_in(window), rays.directions[:, window[0], window[1]])
        is_nearer = hit < seen
        np.copyto(seen, hit, where=is_nearer)
        np.copyto(solid_index[window], index, where=is_nearer)
    return solid_index
