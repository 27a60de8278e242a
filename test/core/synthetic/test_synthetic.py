from dataclasses import replace

import numpy as np
import pytest

from reference.rendering import march
from scanssc_core.geometry import PinholeCamera, StereoRig, VoxelGridSpec, invert_transform
from scanssc_core.labels import FREE, SEMANTIC_KITTI
from scanssc_core.sources.kitti import open_sequence
from scanssc_core.synthetic import sequence as sequence_module
from scanssc_core.synthetic.caster import cast
from scanssc_core.synthetic.ground import Ground
from scanssc_core.synthetic.lidar import sweep
from scanssc_core.synthetic.path import RoadPath
from scanssc_core.synthetic.rays import LidarRays, PinholeRays, SunRays
from scanssc_core.synthetic.rigs import KITTI_RIGS, T_CAM_VELO, draw_robot_rig, rig_figures
from scanssc_core.synthetic.scene import Light, Scene, wall_scene
from scanssc_core.synthetic.sequence import SyntheticSequence
from scanssc_core.synthetic.solids import Box, Cylinder, Ellipsoid, Hull
from scanssc_core.synthetic.street import make_robot_street, make_street

SMALL_RIG = StereoRig(PinholeCamera(180.0, 180.0, 79.5, 44.0, width=160, height=90), 0.5, 79.5)
GRID = VoxelGridSpec.semantic_kitti()
ROOF = {"cuts": ((0.0, 0.0, -1.0, 0.02), (0.0, 1.0, 1.0, 1.0), (0.0, -1.0, 1.0, 1.0))}


@pytest.fixture(scope="module", params=["car", "robot"])
def drive(request):
    """A residential street from a car, a campus from a robot, seen small and without noise."""
    if request.param == "car":
        whole = SyntheticSequence.on_street(seed=12, num_frames=2, spacing_m=6.0, kind="residential")
    else:
        whole = SyntheticSequence.of_robot(seed=6, num_frames=2, spacing_m=6.0, kind="campus")
    return replace(whole, rig=SMALL_RIG, noise=0.0)


@pytest.fixture(scope="module")
def truth(drive):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_module, "LABEL_AHEAD_M", 21.0)  # enough, and faster
        return drive.truth(0, GRID)


def solid_scene() -> Scene:
    """A bumpy ground with one solid of each kind, without holes."""
    y, x = np.mgrid[-20:60:0.25, -20:60:0.25]
    height = (0.3 * np.sin(x / 9) + 0.2 * np.cos(y / 7)).astype(np.float32)
    ground = Ground(
        (-20.0, -20.0), 0.25, height, np.full(x.shape, 9, np.uint8), np.full((*x.shape, 3), 0.4, np.float32)
    )
    solids = (
        Box("car", "car", (9.0, 2.0, 0.9), (4.0, 1.8, 1.5), (1, 1, 1), yaw_rad=0.4),
        Cylinder("pole", "plain", (7.0, -1.5, 2.0), (0.4, 0.4, 4.0), (1, 1, 1)),
        Ellipsoid("person", "plain", (11.0, -3.0, 1.2), (2.0, 1.0, 2.4), (1, 1, 1), yaw_rad=1.1),
        Hull("building", "roof", (16.0, 5.0, 3.0), (6.0, 5.0, 5.0), (1, 1, 1), yaw_rad=-0.3, **ROOF),
    )
    return Scene(ground, solids)


def test_depth_agrees_with_marching_along_the_ray():
    scene = solid_scene()
    T_world_cam = invert_transform(T_CAM_VELO)
    T_world_cam[2, 3] += 1.9
    camera = PinholeCamera(18.0, 18.0, 15.5, 8.0, width=32, height=18)
    depth, _ = cast(scene, PinholeRays(camera, T_world_cam))
    compared = 0
    for row, column in [(r, c) for r in range(0, 18, 2) for c in range(0, 32, 3)]:
        direction = T_world_cam[:3, :3] @ [(column - camera.cx) / 18.0, (row - camera.cy) / 18.0, 1.0]
        expected_m = march(scene, T_world_cam[:3, 3], direction)
        if expected_m:
            compared += 1
            assert depth[row, column] == pytest.approx(expected_m, abs=0.02)  # grazing rays: a millimetre of height
    assert compared > 40


@pytest.mark.parametrize("sensor", ["camera", "scanner", "sun"])
def test_windows_lose_no_hit(sensor):
    scene = solid_scene()
    T_world_velo = np.eye(4)
    T_world_velo[:3, 3] = (8.0, 0.0, 2.0)  # among the solids: some lie across the seam of the azimuths
    if sensor == "camera":
        camera = PinholeCamera(40.0, 40.0, 39.5, 20.0, width=80, height=40)
        rays = PinholeRays(camera, T_world_velo @ invert_transform(T_CAM_VELO))
    elif sensor == "scanner":
        rays = LidarRays(np.radians(np.linspace(30, -30, 40)), 120, T_world_velo)
    else:
        corners = np.array([(x, y, z) for x in (0.0, 20.0) for y in (-8.0, 10.0) for z in (0.0, 6.0)])
        rays = SunRays(np.array([-0.4, 0.3, 0.866]), corners, 0.4)
    depth, index = cast(scene, rays)
    for number, solid in enumerate(scene.solids):
        everywhere = solid.first_hit(rays.origin, rays.directions)
        assert (depth <= everywhere + 1e-5).all()
        assert (everywhere[index == number] == depth[index == number]).all()
        assert (index == number).any() or sensor == "camera"


@pytest.mark.parametrize("solid_type", [Box, Cylinder, Ellipsoid, Hull])
def test_first_hit_lies_on_the_surface_and_the_normal_points_outwards(solid_type):
    more = ROOF if solid_type is Hull else {}
    solid = solid_type("car", "plain", (8.0, 1.0, 1.0), (3.0, 2.0, 1.5), (1.0, 1.0, 1.0), yaw_rad=0.6, **more)
    origin = np.zeros(3, np.float32)
    directions = (np.random.default_rng(0).normal((8, 1, 1), 0.8, (500, 3)) / 8).T.astype(np.float32)
    depth = solid.first_hit(origin, directions)
    is_hit = np.isfinite(depth)
    assert 50 < is_hit.sum() < 500
    hits = origin[:, None] + depth[is_hit] * directions[:, is_hit]
    normals = solid.local_normals(solid.local_points(hits))
    assert (np.einsum("ij,ij->j", normals, solid.to_local(directions[:, is_hit])) < 1e-4).all()
    assert solid.contains(hits + 1e-4 * directions[:, is_hit]).mean() > 0.97
    assert solid.contains(hits - 1e-4 * directions[:, is_hit]).mean() < 0.03
    for miss in directions[:, ~is_hit].T:
        assert not solid.contains(np.linspace(0, 3, 200) * miss[:, None] * 0.999).all()


def test_rays_pass_through_leaves_here_and_there():
    solid = Ellipsoid("vegetation", "foliage", (6.0, 0.0, 0.0), (3.0, 3.0, 3.0), (1, 1, 1))
    dense = replace(solid, material="plain")
    directions = np.stack([np.ones((40, 40)), *np.mgrid[-0.2:0.2:40j, -0.2:0.2:40j]]).astype(np.float32)
    leafy, full = (s.first_hit(np.zeros(3, np.float32), directions) for s in (solid, dense))
    is_near, is_missed = leafy == full, np.isinf(leafy)
    assert 0.4 < is_near.mean() < 0.8
    assert 0.03 < is_missed.mean() < 0.4
    assert (leafy[~is_near & ~is_missed] > full[~is_near & ~is_missed]).all()


def test_wall_has_its_distance_at_every_pixel():
    frame, depth_m = SyntheticSequence(wall_scene(12.0), num_frames=1, rig=SMALL_RIG).frame(0)
    np.testing.assert_allclose(depth_m[30:44], 12.0 - 0.27, atol=1e-4)
    assert frame.left_rgb[30:44].std() > 5


def test_road_coordinates_invert_places():
    path = RoadPath.from_curvature(-10.0, np.full(200, 1 / 90))
    rng = np.random.default_rng(0)
    s, left = rng.uniform(0, 70, 50), rng.uniform(-25, 25, 50)
    x, y = np.array([path.place(*place) for place in zip(s, left, strict=True)]).T
    found_s, found_left = path.locate(x, y)
    np.testing.assert_allclose(found_s, s, atol=0.05)
    np.testing.assert_allclose(found_left, left, atol=0.05)


def test_rigs_are_rigid_and_look_ahead():
    for _, mount in KITTI_RIGS:
        R = mount.T_cam0_velo[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(R[2], (1, 0, 0), atol=0.02)


def test_robots_have_rigs_of_all_kinds():
    rigs = [draw_robot_rig(np.random.default_rng(seed)) for seed in range(300)]
    bounds = {
        "baseline_m": (0.06, 0.6),
        "view_deg": (60, 110),
        "camera_height_m": (0.4, 2.0),
        "pitch_deg": (-10, 5),
        "roll_deg": (-2, 2),
    }
    for name, (low, high) in bounds.items():
        values = [rig_figures(*rig)[name] for rig in rigs]
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high >= max(values) > high - 0.1 * (high - low)
    assert len({(rig.left.width, rig.left.height) for rig, _ in rigs}) == 7


def test_figures_of_kittis_rig_are_known():
    figures = rig_figures(*KITTI_RIGS[2])
    expected = {"width_px": 1226, "height_px": 370, "view_deg": 81.9, "baseline_m": 0.538, "camera_height_m": 1.65}
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=0.01)
    assert abs(figures["pitch_deg"]) < 1 and abs(figures["roll_deg"]) < 1


def test_pitch_is_upwards_and_roll_to_the_right():
    rig, mount = next(
        rig for seed in range(99) if (rig := draw_robot_rig(np.random.default_rng(seed))) and _figures_are_large(rig)
    )
    T_cam_velo = mount.T_left_velo
    figures = rig_figures(rig, mount)
    forward, right = invert_transform(T_cam_velo)[:3, 2], invert_transform(T_cam_velo)[:3, 0]
    assert np.sign(forward[2]) == np.sign(figures["pitch_deg"])
    assert np.sign(right[2]) == -np.sign(figures["roll_deg"])


def _figures_are_large(rig) -> bool:
    figures = rig_figures(*rig)
    return abs(figures["pitch_deg"]) > 2 and abs(figures["roll_deg"]) > 1


def test_ground_has_the_same_height_in_the_grid_whatever_the_cameras():
    heights_m = []
    for seed in range(3):
        _, mount = draw_robot_rig(np.random.default_rng(seed))
        heights_m.append(rig_figures(SMALL_RIG, mount)["camera_height_m"])
        drive = SyntheticSequence(wall_scene(30.0), num_frames=1, rig=SMALL_RIG, mount=mount)
        left, _ = drive.views(0)
        is_road = left.class_ids[left.depth_m > 0] == SEMANTIC_KITTI.id_of("road")
        points = _points_velo(drive, left)[is_road]
        assert len(points) > 2000
        np.testing.assert_allclose(points[:, 2], -1.73, atol=2e-3)
    assert np.ptp(heights_m) > 0.3


def test_nothing_stands_before_a_robot_and_what_was_there_is_gone_whole():
    full, cleared = (make_robot_street(3, 5.0, stops, "town") for stops in ((), (0.0,)))
    x, y = full.path.place(0.0, full.lane_m)
    z = float(full.scene.ground.height_at(np.array([[x]]), np.array([[y]]))[0, 0])
    ahead = np.array([np.cos(full.turn_rad), np.sin(full.turn_rad)])
    beside = np.array([-ahead[1], ahead[0]])
    offsets = [(a, b, up) for a in np.arange(0, 2, 0.1) for b in np.arange(-0.45, 0.5, 0.1) for up in (0.2, 0.9, 1.6)]
    places = np.array([(*(np.array([x, y]) + a * ahead + b * beside), z + up) for a, b, up in offsets]).T
    in_the_way = [solid for solid in full.scene.solids if solid.contains(places).any()]
    assert in_the_way
    assert not any(solid.contains(places).any() for solid in cleared.scene.solids)
    assert not set(in_the_way) & set(cleared.scene.solids)
    gone = set(full.scene.solids) - set(cleared.scene.solids)
    assert {solid.class_name for solid in gone} == {"car"}
    assert len(gone) == 12  # of one car: body, cabin, roof, four wheels, four lamps, plate


def test_light_of_a_low_sun_blinds_the_camera_that_looks_into_it():
    ahead, behind = ((x, 0.0, 0.35) for x in (0.94, -0.94))
    glaring, clear = (
        [_wall_seen(Light(to_sun=to_sun, glare=glare)).mean() for to_sun in (ahead, behind)] for glare in (0.8, 0.0)
    )
    assert glaring[0] > clear[0] + 5
    assert glaring[1] == clear[1]


def test_wet_ground_is_darker_and_mirrors_the_sky_far_away():
    dry, wet = (_wall_seen(Light(sun=0.0, wetness=wetness)) for wetness in (0.0, 1.0))
    np.testing.assert_array_equal(wet[20:40], dry[20:40])  # the wall
    far, near = (wet[rows].mean() / dry[rows].mean() for rows in (slice(60, 66), slice(84, 90)))
    assert far > 1.1 and near < 1


def _wall_seen(light: Light) -> np.ndarray:
    scene = replace(wall_scene(20.0), light=light)
    return SyntheticSequence(scene, num_frames=1, rig=SMALL_RIG).frame(0)[0].left_rgb


def test_both_images_show_the_same_surface(drive):
    left, right = drive.views(0)
    rows, columns = np.nonzero((left.depth_m > 3) & (left.depth_m < 30))
    matched = columns - SMALL_RIG.left.fx * SMALL_RIG.baseline_m / left.depth_m[rows, columns]
    is_whole = (np.abs(matched - np.rint(matched)) < 0.05) & (matched >= 0)
    rows, columns, matched = rows[is_whole], columns[is_whole], np.rint(matched[is_whole]).astype(int)
    assert len(rows) > 300
    is_seen = np.abs(right.depth_m[rows, matched] / left.depth_m[rows, columns] - 1) < 0.01
    # What the right camera cannot see lies behind something nearer.
    nearer = right.depth_m[rows, matched] < left.depth_m[rows, columns] * 0.99
    assert is_seen.mean() > 0.75
    assert (is_seen | nearer).mean() > 0.95
    difference = np.abs(left.rgb[rows, columns].astype(int) - right.rgb[rows, matched]).max(axis=-1)
    assert (difference[is_seen] <= 24).mean() > 0.85
    assert (left.class_ids[rows, columns] == right.class_ids[rows, matched])[is_seen].mean() > 0.97


def test_pixels_fall_into_voxels_of_their_class(drive, truth):
    left, _ = drive.views(0)
    v, u = np.nonzero(left.depth_m > 0)
    points = _points_velo(drive, left)
    indices, is_inside = GRID.points_to_indices(points)
    # The scanner looks no higher than two degrees.
    is_scanned = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])) < np.radians(1.5)
    is_compared = is_inside & is_scanned & (points[:, 0] < 35)
    at = tuple(indices[is_compared].T)
    is_valid = ~truth.is_invalid[at]
    assert is_valid.mean() > 0.97
    assert (truth.labels[at] == left.class_ids[v, u][is_compared])[is_valid].mean() > 0.97
    assert (truth.labels[at] != FREE)[is_valid].mean() > 0.985


def _points_velo(drive, left) -> np.ndarray:
    """(N, 3) where the pixels with depth lie in the grid's frame."""
    camera = drive.rig.left
    v, u = np.nonzero(left.depth_m > 0)
    depth = left.depth_m[v, u]
    points_cam = np.stack([(u - camera.cx) / camera.fx * depth, (v - camera.cy) / camera.fy * depth, depth], axis=-1)
    T_velo_cam = invert_transform(drive.mount.T_left_velo)
    return points_cam @ T_velo_cam[:3, :3].T + T_velo_cam[:3, 3]


def test_labels_are_thin_and_what_is_enclosed_is_invalid(drive, truth):
    ground = [SEMANTIC_KITTI.id_of(name) for name in ("road", "sidewalk", "terrain", "parking")]
    per_column = np.isin(truth.labels, ground).sum(axis=2)
    assert per_column[per_column > 0].mean() < 1.6
    assert 0.05 < truth.is_invalid.mean() < 0.6
    assert (truth.labels[truth.is_invalid] == FREE).all()
    assert truth.is_invalid[truth.is_occluded].mean() > 0.5  # later poses see a part of what the first does not
    T_grid_world = invert_transform(drive.pose(0))
    house = next(s for s in drive.scene.solids if s.material == "facade" and s.center[0] > 5 and abs(s.center[1]) < 20)
    center = T_grid_world[:3, :3] @ [*house.center[:2], 1.0] + T_grid_world[:3, 3]
    index, is_inside = GRID.points_to_indices(center)
    assert is_inside and truth.is_invalid[tuple(index)]


def test_sweep_ranges_agree_with_its_points():
    turn = sweep(solid_scene(), _lifted(2.0), np.radians([-5.0, -15.0]), 90)
    distance = np.linalg.norm(turn.points_world - np.array([[0.0], [0.0], [2.0]]), axis=0)
    is_hit = (turn.range_m > 2.5) & (turn.range_m < 72)
    np.testing.assert_allclose(distance, turn.range_m[is_hit], rtol=1e-5)


def _lifted(height_m: float) -> np.ndarray:
    lift = np.eye(4)
    lift[2, 3] = height_m
    return lift


def test_the_same_seed_gives_the_same_street():
    streets = [make_street(seed, 5.0) for seed in (4, 4, 5)]
    assert streets[0].scene.solids == streets[1].scene.solids
    np.testing.assert_array_equal(streets[0].scene.ground.height_m, streets[1].scene.ground.height_m)
    assert streets[0].scene.solids != streets[2].scene.solids


def test_streets_of_old_seeds_stay_what_they_were():
    street = make_street(100_000, 5.0)
    assert len(street.scene.solids) == 923
    middle = np.mean([solid.center for solid in street.scene.solids], axis=0)
    assert middle == pytest.approx((29.022023, -5.591395, 2.082076), abs=1e-4)
    assert street.scene.light.exposure == pytest.approx(1.181261, abs=1e-6)


def test_written_sequence_reads_back_through_the_kitti_reader(tmp_path):
    drive = SyntheticSequence(wall_scene(9.0), num_frames=2, rig=SMALL_RIG, mount=KITTI_RIGS[0][1])
    drive.write(tmp_path / "seq", workers=1)
    read = list(open_sequence(tmp_path / "seq"))
    assert len(read) == 2
    for index, frame in enumerate(read):
        expected, _ = drive.frame(index)
        np.testing.assert_array_equal(frame.left_rgb, expected.left_rgb)
        np.testing.assert_array_equal(frame.right_rgb, expected.right_rgb)
        np.testing.assert_allclose(frame.T_cam_velo, drive.mount.T_left_velo, atol=1e-9)
        assert frame.rig.baseline_m == pytest.approx(0.5)
        assert frame.stamp_ns == expected.stamp_ns
    poses = np.loadtxt(tmp_path / "seq" / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-6)
    assert poses[1][2, 3] == pytest.approx(0.8, abs=0.01)
