"""The weights that come with the package (licence and model card beside them)."""

from pathlib import Path

LITE_WEIGHTS = Path(__file__).parents[1] / "weights" / "lite.safetensors"


def terms_of(weights: Path) -> tuple[str, ...]:
    """What a user of these weights must be told; a line each."""
    if weights != LITE_WEIGHTS:
        return ()
    return (
        "the weights of the model lite are for non-commercial use only (CC BY-NC-SA 3.0, as the data they were trained "
        f"on): see {LITE_WEIGHTS.parent / 'LICENSE'}",
    )
