"""Two nodes side by side, and whose parameters a file sets."""

import pytest

from system.harness import World

pytestmark = pytest.mark.system


def test_two_nodes_in_two_namespaces_work_side_by_side_and_report_under_two_names(context, start_node):
    worlds = {name: World(context, namespace=name) for name in ("front", "back")}
    nodes = {name: start_node("-r", f"__ns:=/{name}") for name in worlds}
    for name, world in worlds.items():
        world.wait_for_node(nodes[name])
    front, back = worlds["front"], worlds["back"]
    front.stamp_ns += 10**10  # no stamp of one is of the other
    for world in (front, back, front):
        world.wait_for_grid(world.publish_pair())
    for name, world, num_pairs in (("front", front, "2"), ("back", back, "1")):
        world.spin_until(lambda world=world, num_pairs=num_pairs: world.value("pipeline", "processed") == num_pairs)
        assert len(world.grids) == int(num_pairs)
        assert {status.hardware_id for status in world.statuses.values()} == {f"{name}/scanssc"}
        assert world.value("left image", "topic") == f"/{name}/left/image_rect"
        world.executor_.shutdown()
        world.destroy_node()
