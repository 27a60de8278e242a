import cv2
import numpy as np
import pytest

from scanssc_core.stereo.rectification import Rectifier, UnrectifiedCamera

WIDTH, HEIGHT = 160, 100
K = [120.0, 0.0, 78.0, 0.0, 118.0, 51.0, 0.0, 0.0, 1.0]
P = [110.0, 0.0, 80.0, -55.0, 0.0, 110.0, 50.0, 0.0, 0.0, 0.0, 1.0, 0.0]
R = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
PLUMB_BOB = [-0.2, 0.05, 0.001, -0.002, 0.01]


def camera(**changed):
    values = {"K": K, "D": PLUMB_BOB, "R": R, "P": P, "model": "plumb_bob", "width": WIDTH, "height": HEIGHT}
    return UnrectifiedCamera.from_lists(**{**values, **changed})


def source_of_pixel(u, v, D, model):
    """Where the rectified pixel (u, v) lies in the taken image: straight from the camera models."""
    ray = R.T @ np.linalg.inv(np.reshape(P, (3, 4))[:, :3]) @ [u, v, 1.0]
    x, y = ray[:2] / ray[2]
    r = np.hypot(x, y)
    if model == "equidistant":
        theta = np.arctan(r)
        scale = theta * (1 + sum(k * theta ** (2 * power) for power, k in enumerate(D, 1))) / r
        x, y = x * scale, y * scale
    else:
        k1, k2, p1, p2, k3 = D
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
            y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
        )
    return np.reshape(K, (3, 3))[:2] @ [x, y, 1.0]


@pytest.mark.parametrize(("model", "D"), [("plumb_bob", PLUMB_BOB), ("equidistant", [0.05, -0.01, 0.002, 0.0])])
def test_rectified_pixels_come_from_where_the_camera_model_says(model, D):
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    ramps = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)  # each pixel tells where it was
    rectified = Rectifier(camera(model=model, D=D))(ramps)
    for u, v in [(40, 30), (80, 50), (120, 70), (60, 80)]:
        np.testing.assert_allclose(rectified[v, u, :2], source_of_pixel(u, v, D, model), atol=0.6)


def test_a_camera_that_is_rectified_already_leaves_images_as_they_are():
    square = np.reshape(P, (3, 4))[:, :3]
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    same = Rectifier(camera(K=square, D=[], R=np.eye(3), model=""))(image)
    np.testing.assert_array_equal(same, image)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"K": [0.0] * 9}, "focal lengths above zero in K"),
        ({"R": [0.0] * 9}, "R is not a rotation"),
        ({"R": np.diag([1.0, 1.0, -1.0])}, "R is not a rotation"),
        ({"R": np.diag([1.0, -1.0, 1.0])}, "R is not a rotation"),
        ({"R": np.diag([1.0, -1.0, -1.0])}, "turns the camera round"),
        ({"P": [0.0] * 12}, "P is all zero"),
        ({"model": "thin_prism"}, "plumb_bob.*'thin_prism'"),
        ({"D": [0.1, 0.2]}, "4 or 5 numbers in D of plumb_bob, got 2"),
        ({"D": [np.nan] * 5}, "finite D"),
    ],
)
def test_calibration_that_cannot_be_used_is_refused_by_its_field(changed, reason):
    with pytest.raises(ValueError, match=reason):
        camera(**changed)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
@pytest.mark.parametrize(
    "changed",
    [
        {"D": [1e308, 0.0, 0.0, 0.0]},
        {"D": [-1e6, 0.0, 0.0, 0.0]},
        {"K": [120.0, 0.0, 78e3, 0.0, 118.0, 51.0, 0.0, 0.0, 1.0]},
        {"R": cv2.Rodrigues(np.array([0.0, 1.4, 0.0]))[0]},
    ],
    ids=["overflow", "distortion", "center", "turn"],
)
def test_calibration_that_leaves_the_image_black_is_refused(changed, model):
    with pytest.raises(ValueError, match="K, D, R and P do not belong together|OpenCV refuses"):
        Rectifier(camera(**{"D": [0.0] * 4, "model": model, **changed}))


def test_calibration_of_a_wide_lens_that_keeps_all_pixels_is_taken():
    D = np.array([-0.3, 0.1, 0.0, 0.0, 0.0])
    square = np.reshape(K, (3, 3))
    new, _ = cv2.getOptimalNewCameraMatrix(square, D, (WIDTH, HEIGHT), 1.0)
    Rectifier(camera(D=D, R=np.eye(3), P=np.hstack([new, np.zeros((3, 1))])))
