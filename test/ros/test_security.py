"""config/sros2_policy.xml allows what the nodes have, and nothing that they do not have."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from scanssc_ros.mapping.node import SemanticMapNode
from scanssc_ros.node import ScanSSCNode

POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2_policy.xml"
#: What a node has in simulated time, or with another version of ROS 2 or vision_msgs.
SOMETIMES = {"/clock", "/parameter_events", "segmentation/labels", "get_type_description"}


def allowed(node, kind, access):
    (enclave,) = (one for one in ElementTree.parse(POLICY).iter("enclave") if one.get("path") == f"/{node}")
    (listed,) = (one for one in enclave.iter(kind) if one.get(access) == "ALLOW")
    return {entry.text for entry in listed}


@pytest.mark.parametrize(
    "make, arguments", [(ScanSSCNode, ["-p", "model:=dummy"]), (SemanticMapNode, ["-r", "grid:=scanssc/occupancy"])]
)
def test_the_policy_allows_every_topic_and_service_of_an_active_node_and_no_other(context, make, arguments):
    node = make(context=context, cli_args=["--ros-args", *arguments])
    try:
        node.trigger_configure()
        node.trigger_activate()
        place = node.get_name(), node.get_namespace()
        has = {
            ("topics", "publish"): node.get_publisher_names_and_types_by_node(*place),
            ("topics", "subscribe"): node.get_subscriber_names_and_types_by_node(*place),
            ("services", "reply"): node.get_service_names_and_types_by_node(*place),
        }
        assert not node.get_client_names_and_types_by_node(*place)
    finally:
        node.destroy_node()
    for (kind, access), names_and_types in has.items():
        names, listed = {name for name, _ in names_and_types}, allowed(place[0], kind, access)
        assert names <= listed
        assert {name for name in listed - names if name.removeprefix(f"/{place[0]}/") not in SOMETIMES} == set()
