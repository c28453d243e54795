"""Lines between the points of a person, by their names."""

import pytest

from mobilens.data.formats.limbs import limbs


def test_a_person():
    names = ["head_top", "neck", "nose"]
    joints = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names += [f"{side}_{joint}" for joint in joints for side in ("left", "right")]
    assert limbs(names) == (
        ("head_top", "neck"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_elbow"),
        ("right_shoulder", "right_hip"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_hip", "right_hip"),
        ("left_hip", "left_knee"),
        ("right_hip", "right_knee"),
        ("left_knee", "left_ankle"),
        ("right_knee", "right_ankle"),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("left_ankle", "left_knee"),
        ("L Knee", "l-ankle"),
        ("Left Hip", "hip_right"),
        ("neck", "r_shoulder"),
        ("Head Top", "NECK"),
        ("knee", "ankle"),
    ],
)
def test_ways_to_write_names(one: str, other: str):
    assert limbs([one, other]) == ((one, other),)


@pytest.mark.parametrize(
    "names",
    [
        ["left_ankle", "right_knee"],
        ["left_hip", "hip"],
        ["hip.r", "right hip"],
        ["left_hip", "left_ankle"],
        ["left_knee_1", "left_ankle_1"],
        ["top_left", "top_right", "bottom_right", "bottom_left"],
        ["nose"],
        [],
    ],
)
def test_no_limb(names: list[str]):
    assert limbs(names) == ()
