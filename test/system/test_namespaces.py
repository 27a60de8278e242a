"""Nodes side by side, whose parameters a file sets, and where the commands are installed."""

import subprocess
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import GetParameters

import scanssc_core
from system.harness import Observer, World, call, executable

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


@pytest.mark.parametrize("program", ["scanssc_node", "semantic_map"])
def test_two_nodes_of_one_name_are_reported_by_both_until_one_ends(context, start_node, program):
    name = "scanssc" if program == "scanssc_node" else program
    # A name of its own: nodes that other tests killed count until their lease ends.
    observer = Observer("observer", name, context, namespace=f"/twice/{program}")
    first, second = (start_node("-r", f"__ns:=/twice/{program}", program=program) for _ in range(2))
    told = f"2 nodes are named /twice/{program}/{name}"
    observer.spin_until(lambda: all(f"node name: {told}" in node.log for node in (first, second)))
    observer.spin_until(lambda: told in observer.message("node name"))
    assert observer.statuses["node name"].level == DiagnosticStatus.WARN
    assert "-r __ns:=/front" in observer.message("node name")
    assert second.stop() == 0
    observer.spin_until(lambda: observer.statuses["node name"].level == DiagnosticStatus.OK)
    observer.executor_.shutdown()
    observer.destroy_node()


def test_the_shipped_parameter_file_binds_in_any_namespace(context, start_node, tmp_path):
    shipped = Path(get_package_share_directory("scanssc_ros")) / "config" / "scanssc.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(shipped.read_text().replace("max_age_s: 2.0", "max_age_s: 7.5"))
    world = World(context)
    start_node("--params-file", str(mine), "-r", "__ns:=/robot/front", autostart=False)
    request = GetParameters.Request(names=["max_age_s"])
    assert call(world, GetParameters, "/robot/front/scanssc/get_parameters", request).values[0].double_value == 7.5
    world.executor_.shutdown()
    world.destroy_node()


def test_the_offline_command_is_on_the_path_of_a_sourced_workspace_and_beside_the_node():
    prefix = Path(get_package_prefix("scanssc_ros"))
    for command in (prefix / "bin" / "scanssc", executable("scanssc")):
        printed = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
        assert printed.strip() == scanssc_core.__version__
    hook = prefix / "share" / "scanssc_ros" / "environment" / "path.dsv"
    assert hook.read_text().strip() == "prepend-non-duplicate-if-exists;PATH;bin"
