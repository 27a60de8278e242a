import subprocess
import sys


def test_map_node_needs_no_network_and_so_neither_torch_nor_its_memory():
    code = "import sys, scanssc_ros.programs.semantic_map, scanssc_ros.mapping.node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
