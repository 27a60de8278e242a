"""The weights that come with the package (licence and model card beside them)."""

from pathlib import Path

LITE_WEIGHTS = Path(__file__).parents[1] / "weights" / "lite.safetensors"
