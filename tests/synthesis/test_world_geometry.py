"""Cameras, rotations and inverse kinematics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.synthesis import kinematics
from rgb2ir_jax.synthesis.camera import (
    IR_FIELD_OF_VIEW,
    LENS_DISTANCE,
    RGB_FIELD_OF_VIEW,
    PinholeCamera,
    ir_size,
    look_at,
    place_cameras,
    rgb_size,
)
from rgb2ir_jax.synthesis.mesh import Mesh, box, ellipsoid, joined, limb, tube
from rgb2ir_jax.synthesis.naming import SampleName
from rgb2ir_jax.synthesis.props import Kind, make_thing

coordinate = st.floats(-1.5, 1.5)
point = st.tuples(coordinate, coordinate, coordinate)
bone = st.floats(0.1, 0.6)


@given(point, point, point, bone, bone)
def test_inverse_kinematics_keeps_bones_and_reaches_what_is_in_reach(
    root: tuple, target: tuple, pole: tuple, upper: float, lower: float
) -> None:
    start, goal = np.array([root]), np.array([target])
    middle, end = kinematics.two_bone_ik(start, goal, np.array([pole]), upper, lower)
    assert np.linalg.norm(middle - start) == pytest.approx(upper, abs=1e-6)
    assert np.linalg.norm(end - middle) == pytest.approx(lower, abs=1e-6)
    distance = float(np.linalg.norm(goal - start))
    if abs(upper - lower) + 1e-3 < distance < upper + lower - 1e-3:
        np.testing.assert_allclose(end, goal, atol=1e-6)
    elif distance > upper + lower:  # as far as the bones allow, in the right direction
        along = (end - start)[0] @ (goal - start)[0] / distance
        assert along == pytest.approx(upper + lower, abs=1e-3)


def test_the_elbow_points_to_its_pole() -> None:
    start, goal = np.zeros((1, 3)), np.array([[0.0, 0.0, -0.6]])
    pole = np.array([[1.0, 0.0, 0.0]])
    middle, _ = kinematics.two_bone_ik(start, goal, pole, 0.5, 0.5)
    np.testing.assert_allclose(middle, [[0.4, 0.0, -0.3]], atol=1e-9)


@given(st.floats(-3, 3), point)
def test_rotations_turn_counter_clockwise_and_keep_lengths(angle: float, vector: tuple) -> None:
    turn = np.array([angle])
    x, y, z = vector
    expected = [
        x * math.cos(angle) - y * math.sin(angle),
        x * math.sin(angle) + y * math.cos(angle),
        z,
    ]
    np.testing.assert_allclose(
        kinematics.apply(kinematics.rotation_z(turn), np.array(vector))[0], expected, atol=1e-12
    )
    for rotation in (kinematics.rotation_x, kinematics.rotation_y, kinematics.rotation_z):
        matrix = rotation(turn)[0]
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)


@given(point, point)
def test_frames_are_rotations(direction: tuple, side: tuple) -> None:
    if np.linalg.norm(direction) < 1e-3:
        return
    frame = kinematics.frame_along(np.array([direction]), np.array([side]))[0]
    np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-6)
    assert np.linalg.det(frame) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(frame[:, 2] * np.linalg.norm(direction), direction, atol=1e-6)


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    share = kinematics.minimum_jerk(np.linspace(0, 1, 1001))
    assert share[0] == 0.0
    assert share[-1] == 1.0
    assert share[500] == pytest.approx(0.5)
    speed = np.gradient(share, 1 / 1000)
    assert speed[0] == pytest.approx(0.0, abs=1e-4)
    assert speed.max() == pytest.approx(
        1.875, abs=1e-3
    )  # the profile's known peak: 15/8 of the mean


def test_keys_are_passed_in_time() -> None:
    time = np.linspace(0, 3, 301)
    value = kinematics.through_keys(time, [(0.5, 1.0), (1.0, 3.0), (2.0, -1.0)])
    assert value[0] == pytest.approx(1.0)
    assert value[100] == pytest.approx(3.0)
    assert value[-1] == pytest.approx(-1.0)


@given(st.tuples(st.floats(-0.8, 0.8), st.floats(-0.45, 0.45), st.floats(1.0, 5.0)))
def test_projection_is_a_pinhole(seen: tuple) -> None:
    # A camera at (1, -3, 1.5) that looks along +y: right is +x, down is -z.
    position = np.array([1.0, -3.0, 1.5])
    rotation = look_at(position, position + np.array([0.0, 1.0, 0.0]))
    camera = PinholeCamera(position, rotation, 1920, 1080, (1064.0, 1065.0))
    u, v, depth = seen
    world = position + np.array([u * depth, depth, -v * depth])
    pixel, measured = camera.project(world)
    assert measured == pytest.approx(depth)
    np.testing.assert_allclose(pixel, [960 + 1064 * u, 540 + 1065 * v], rtol=1e-9)


@pytest.mark.parametrize("camera", [1, 2, 3])
def test_cameras_have_a_kinects_fields_of_view_and_lens_distance(camera: int) -> None:
    rgb, ir = place_cameras(SampleName(4, camera, 9, 1, 3), 0, 1080)
    assert (rgb.width, rgb.height, ir.width, ir.height) == (1920, 1080, 512, 424)
    for view, (across, down) in ((rgb, RGB_FIELD_OF_VIEW), (ir, IR_FIELD_OF_VIEW)):
        assert 2 * math.degrees(math.atan(view.width / 2 / view.focal[0])) == pytest.approx(across)
        assert 2 * math.degrees(math.atan(view.height / 2 / view.focal[1])) == pytest.approx(down)
    assert np.linalg.norm(ir.position - rgb.position) == pytest.approx(LENS_DISTANCE)
    np.testing.assert_allclose(rgb.rotation @ rgb.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rgb.rotation) == pytest.approx(1.0)
    # All three look at whoever stands in the middle, from the direction that their number says.
    azimuth = math.degrees(math.atan2(rgb.position[0], -rgb.position[1]))
    assert azimuth == pytest.approx({1: 0.0, 2: 45.0, 3: -45.0}[camera], abs=5.0)
    pixel, _ = rgb.project(np.array([0.0, 0.0, 0.95]))
    assert abs(pixel[0] - 960) < 150
    assert abs(pixel[1] - 540) < 150


def test_rays_are_the_inverse_of_projection() -> None:
    rgb, _ = place_cameras(SampleName(2, 3, 5, 2, 1), 1, 54)
    rays = rgb.rays()
    pixel, depth = rgb.project(rgb.position + 2.0 * rays)
    np.testing.assert_allclose(depth, 2.0)
    np.testing.assert_allclose(pixel[10, 20], [20.5, 10.5])


@pytest.mark.parametrize(
    ("height", "rgb", "ir"),
    [(1080, (1920, 1080), (512, 424)), (540, (960, 540), (256, 212)), (108, (192, 108), (58, 48))],
)
def test_picture_sizes(height: int, rgb: tuple, ir: tuple) -> None:
    assert rgb_size(height) == rgb
    assert ir_size(height) == ir


@given(st.integers(16, 540).map(lambda n: 2 * n))
def test_picture_sizes_are_even_and_infrared_is_never_larger(height: int) -> None:
    sizes = (*rgb_size(height), *ir_size(height))
    assert all(size % 2 == 0 for size in sizes)
    assert ir_size(height)[1] <= height


def _volume(mesh: Mesh) -> float:
    """Signed volume by the divergence theorem: positive when every face is counter-clockwise."""
    a, b, c, d = (mesh.vertices[mesh.faces[:, k]] for k in range(4))
    triangles = np.sum(a * np.cross(b, c)) + np.sum(a * np.cross(c, d))
    return float(triangles / 6)


def test_solids_have_the_volumes_of_their_formulas() -> None:
    assert _volume(box(0.2, 0.3, 0.4, cells=3)) == pytest.approx(0.2 * 0.3 * 0.4)
    sides = 400
    cylinder = tube([(0.0, 0.1, 0.2), (0.5, 0.1, 0.2)], sides)
    assert _volume(cylinder) == pytest.approx(math.pi * 0.1 * 0.2 * 0.5, rel=1e-3)
    assert _volume(ellipsoid(0.1, 0.2, 0.3, 200, 200)) == pytest.approx(
        4 / 3 * math.pi * 0.1 * 0.2 * 0.3, rel=2e-2
    )
    assert _volume(limb(0.4, 0.05, 0.04, 12)) > 0
    assert _volume(joined(box(0.1, 0.1, 0.1), box(0.2, 0.1, 0.1).moved(x=1.0))) == pytest.approx(
        0.003
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_things_are_small_and_their_foot_is_their_lowest_point(kind: Kind) -> None:
    for seed in range(12):
        mesh, foot = make_thing(kind, np.random.default_rng(seed), 8)
        size = np.ptp(mesh.vertices, axis=0)
        assert size.max() < 0.5
        assert foot == pytest.approx(-mesh.vertices[:, 2].min(), abs=0.03)
