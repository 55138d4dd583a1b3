"""The person in a picture: all properties that the two pictures of a pair share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halftone.sample.drawing.palette import HAIR_COLOURS, SKIN_COLOURS, mix_colours, random_colour

_HAIR_STYLES = {"none": 0.08, "short": 0.26, "fringe": 0.22, "long": 0.26, "curly": 0.18}
_SCENES = ("plain", "blobs", "blocks", "rays")


@dataclass(frozen=True)
class Person:
    """The properties that the two pictures of a pair share."""

    centre: tuple[float, float]
    half_head_width: float  # half the head's width
    tilt_rad: float
    yaw_rad: float
    jaw: float  # 0 is round, 1 is pointed
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    hair_style: str  # a key of _HAIR_STYLES
    parting: float
    eye_colour: tuple[float, float, float]
    eye_open: float
    brow: float  # above 0 is raised, below is a frown
    smile: float
    mouth_open: float
    has_glasses: bool
    has_beard: bool
    shirt: tuple[float, float, float]
    has_striped_shirt: bool
    light: tuple[float, float, float]  # unit vector towards the light
    scene: str  # one of _SCENES
    scene_seed: int
    scene_colours: tuple[tuple[float, float, float], ...]
    mean_grey: float
    std_grey: float
    chroma: float

    @property
    def has_hair(self) -> bool:
        return self.hair_style != "none"

    @property
    def shows_teeth(self) -> bool:
        return self.mouth_open > 0.15


def create_person(seed: int, pair: int) -> Person:
    """Create the person of a pair, the same for both kinds of picture."""
    # Do not reorder these lines: the order of the random draws determines the sample.
    rng = np.random.default_rng([seed, pair])
    skin, hair = rng.uniform(0, len(SKIN_COLOURS) - 1.001), int(rng.integers(len(HAIR_COLOURS)))
    to_light = np.array([rng.uniform(-1, 1), rng.uniform(-0.9, 0.15), rng.uniform(0.35, 1.0)])
    light_x, light_y, light_z = to_light / np.linalg.norm(to_light)
    return Person(
        centre=(float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.42, 0.54))),
        half_head_width=float(rng.uniform(0.17, 0.27)),
        tilt_rad=float(rng.normal(0, 0.13)),
        yaw_rad=float(rng.uniform(-0.5, 0.5)),
        jaw=float(rng.uniform(0.1, 0.9)),
        skin=mix_colours(SKIN_COLOURS[int(skin)], SKIN_COLOURS[int(skin) + 1], skin % 1),
        hair=mix_colours(
            HAIR_COLOURS[hair],
            HAIR_COLOURS[int(rng.integers(len(HAIR_COLOURS)))],
            rng.uniform(0, 0.4),
        ),
        hair_style=str(rng.choice(list(_HAIR_STYLES), p=list(_HAIR_STYLES.values()))),
        parting=float(rng.uniform(-0.6, 0.6)),
        eye_colour=mix_colours((40, 60, 90), random_colour(rng), rng.uniform(0, 0.6)),
        eye_open=float(rng.uniform(0.55, 1.1)),
        brow=float(rng.uniform(-1, 1)),
        smile=float(rng.uniform(-0.5, 1)),
        mouth_open=float(max(0.0, rng.uniform(-0.8, 1))),
        has_glasses=bool(rng.random() < 0.3),
        has_beard=bool(rng.random() < 0.25),
        shirt=random_colour(rng),
        has_striped_shirt=bool(rng.random() < 0.3),
        light=(float(light_x), float(light_y), float(light_z)),
        scene=str(rng.choice(_SCENES)),
        scene_seed=int(rng.integers(2**31)),
        scene_colours=tuple(random_colour(rng) for _ in range(4)),
        mean_grey=float(rng.uniform(80, 168)),
        std_grey=float(rng.uniform(32, 66)),
        chroma=float(rng.choice([0.0, 1.0], p=[0.12, 0.88]) * rng.uniform(6, 34)),
    )
