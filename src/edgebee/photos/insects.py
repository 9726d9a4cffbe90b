"""An ant and a bee, drawn from above or from the side.

Lengths are in body lengths; x runs to the head, y to the right flank from above and down
from the side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from edgebee.photos.pen import OUTLINE, Colour, Pen, Points, mix, vary

__all__ = ["Pose", "draw_ant", "draw_bee"]

# The coats of the two overlap on purpose: a yellow banded ant, a black bee.
ANT_COATS: tuple[tuple[Colour, Colour, Colour | None], ...] = (
    # front body, gaster, bands on the gaster
    ((30, 26, 24), (24, 21, 20), None),
    ((66, 42, 28), (48, 30, 22), None),
    ((150, 66, 34), (120, 48, 26), None),
    ((160, 74, 36), (34, 26, 24), None),
    ((196, 140, 66), (206, 154, 72), (104, 62, 28)),
    ((120, 72, 34), (176, 122, 52), (48, 32, 22)),
    ((58, 46, 40), (150, 130, 96), (50, 40, 34)),
)
BEE_COATS: tuple[tuple[Colour, Colour, Colour], ...] = (
    # fur of the thorax, abdomen, bands on the abdomen
    ((150, 110, 56), (190, 126, 42), (54, 36, 24)),
    ((176, 138, 74), (208, 150, 58), (66, 44, 28)),
    ((214, 174, 48), (30, 27, 26), (224, 186, 60)),
    ((38, 34, 34), (28, 26, 28), (58, 50, 44)),
    ((146, 134, 118), (48, 44, 44), (168, 158, 142)),
    ((150, 78, 36), (92, 50, 28), (150, 84, 40)),
    ((70, 54, 40), (64, 46, 32), (128, 96, 58)),
)
LOADS: tuple[Colour, ...] = ((96, 150, 60), (222, 120, 140), (224, 206, 160))
WING_TINTS: tuple[Colour, ...] = ((214, 220, 226), (196, 178, 148), (150, 140, 138))

# Of the front, middle and hind leg: aim of the femur and bend of the knee, in radians.
STANCE_FROM_ABOVE = ((0.95, -0.55), (1.65, 0.45), (2.15, 0.6))
STANCE_FROM_SIDE = ((0.5, 1.1), (1.5, 0.5), (2.5, -0.9))


@dataclass(frozen=True)
class Pose:
    """How an insect holds itself and where its light comes from.

    Attributes:
        from_side: seen from the side, else from above.
        neck: how far the head is turned, in radians.
        waist: how far the abdomen is turned, in radians.
        light: direction to the light, x and y, each about -0.5 to 0.5.
    """

    from_side: bool
    neck: float
    waist: float
    light: tuple[float, float]


def draw_ant(layer: Image.Image, frame: Points, pose: Pose, rng: np.random.Generator) -> None:
    """Draw an ant on an RGBA layer: slim, three-part, elbowed feelers, six long legs.

    Args:
        layer: what is drawn on, in place.
        frame: body lengths to pixels, float64 [2, 3].
        pose: how it holds itself.
        rng: coat, plumpness, gait and load.
    """
    front, back, bands = ANT_COATS[rng.integers(len(ANT_COATS))]
    front, back = vary(front, rng), vary(back, rng)
    limb = mix(front, (20, 14, 10), 0.25)
    plump = rng.uniform(0.85, 1.2)
    body = Pen(ImageDraw.Draw(layer), frame)
    tail = body.at(-0.06, 0.0, pose.waist)
    gaster = tail.at(-0.27, 0.0)
    skull = body.at(0.22, 0.0, pose.neck).at(0.1, 0.0)

    _legs(body, pose, rng, hips_x=(0.14, 0.08, 0.02), length=rng.uniform(0.5, 0.66),
          width=0.032, colour=limb)  # fmt: skip
    body.at(-0.03, 0.0).egg(0.05, 0.018, front)
    tail.at(-0.035, -0.015 if pose.from_side else 0.0).egg(0.026, 0.032, front)
    gaster.egg(0.21, 0.135 * plump, back, taper=0.25)
    if bands is not None:
        _bands(gaster, rx=0.21, ry=0.135 * plump, taper=0.25, colour=vary(bands, rng),
               count=int(rng.integers(2, 5)), width=0.04)  # fmt: skip
    for side in (-1, 1):
        mandible = [(0.07, side * 0.05), (0.15, side * 0.035), (0.165, side * 0.008)]
        skull.stroke(mandible, 0.024, limb)
    _feelers(skull, pose, rng, root=(0.06, 0.03), scape=0.2, funiculus=0.26, width=0.02,
             colour=limb)  # fmt: skip
    body.at(0.03, 0.0).egg(0.1, 0.05 * plump, front)
    body.at(0.13, -0.01 if pose.from_side else 0.0).egg(0.09, 0.066 * plump, front)
    skull.egg(0.105, 0.092 * plump, front, taper=-0.15)
    for side in (-1,) if pose.from_side else (-1, 1):
        skull.at(0.03, side * (0.03 if pose.from_side else 0.07)).egg(0.02, 0.016, (12, 10, 10))

    shine = Image.new("RGBA", layer.size)
    strength = int(rng.integers(50, 130))
    gaster.on(shine).gloss(0.19, 0.12, pose.light, strength)
    body.at(0.1, 0.0).on(shine).gloss(0.12, 0.05, pose.light, strength)
    skull.on(shine).gloss(0.09, 0.08, pose.light, strength)
    layer.alpha_composite(shine)
    if rng.random() < 0.15:
        _load(skull.at(0.2, 0.0, rng.uniform(0, math.pi)), rng)


def draw_bee(layer: Image.Image, frame: Points, pose: Pose, rng: np.random.Generator) -> None:
    """Draw a bee on an RGBA layer: stout, furry, banded, winged.

    Args:
        layer: what is drawn on, in place.
        frame: body lengths to pixels, float64 [2, 3].
        pose: how it holds itself.
        rng: coat, plumpness, gait and wings.
    """
    fur, abdomen, bands = (vary(c, rng) for c in BEE_COATS[rng.integers(len(BEE_COATS))])
    limb = mix(abdomen, (20, 16, 14), 0.75)
    plump = rng.uniform(0.85, 1.2)
    sag = 0.03 if pose.from_side else 0.0
    body = Pen(ImageDraw.Draw(layer), frame)
    tail = body.at(0.0, 0.0, pose.waist).at(-0.27, sag)
    head = body.at(0.26, sag, pose.neck).at(0.08, 0.0)
    thorax = body.at(0.1, 0.0)

    _legs(body, pose, rng, hips_x=(0.2, 0.12, 0.02), length=rng.uniform(0.36, 0.46),
          width=0.042, colour=limb)  # fmt: skip
    rx, ry = 0.3, 0.19 * plump
    _fur(tail, rng, rx=0.95 * rx, ry=0.97 * ry, colour=mix(abdomen, fur, 0.4), count=60,
         length=0.04)  # fmt: skip
    tail.egg(rx, ry, abdomen, taper=0.2)
    _bands(tail, rx=rx, ry=ry, taper=0.2, colour=bands, count=int(rng.integers(3, 6)),
           width=rng.uniform(0.03, 0.055))  # fmt: skip
    _feelers(head, pose, rng, root=(0.06, 0.04), scape=0.09, funiculus=0.13, width=0.022,
             colour=limb)  # fmt: skip
    _bee_face(head, pose, rng, fur=fur, plump=plump)
    thorax.egg(0.17, 0.165 * plump, fur)
    _fur(thorax, rng, rx=0.16, ry=0.155 * plump, colour=fur, count=170, length=0.06)

    shine, wings = Image.new("RGBA", layer.size), Image.new("RGBA", layer.size)
    tail.on(shine).gloss(0.85 * rx, 0.8 * ry, pose.light, int(rng.integers(40, 100)))
    thorax.on(shine).gloss(0.1, 0.1 * plump, pose.light, 45)
    layer.alpha_composite(shine)
    _wings(body.on(wings), pose, rng)
    layer.alpha_composite(wings)


def _bee_face(
    head: Pen, pose: Pose, rng: np.random.Generator, *, fur: Colour, plump: float
) -> None:
    mask = mix(fur, (24, 20, 18), 0.7)
    head.egg(0.095, 0.125 * plump, mask)
    _fur(head, rng, rx=0.05, ry=0.07, colour=mix(mask, fur, 0.5), count=24, length=0.04)
    for side in (-1,) if pose.from_side else (-1, 1):
        eye = head.at(0.02, 0.0 if pose.from_side else side * 0.095 * plump, side * 0.25)
        eye.egg(0.06, 0.055 if pose.from_side else 0.036, (26, 20, 20))
        eye.at(0.02, -0.012).egg(0.016, 0.011, (120, 112, 108))


def _legs(
    pen: Pen,
    pose: Pose,
    rng: np.random.Generator,
    *,
    hips_x: Sequence[float],
    length: float,
    width: float,
    colour: Colour,
) -> None:
    """Six legs, the far ones first: the front pair reaches forward, the hind pair back."""
    stance = STANCE_FROM_SIDE if pose.from_side else STANCE_FROM_ABOVE
    for near in (False, True):
        side = 1 if near or pose.from_side else -1
        shade = mix(colour, (0, 0, 0), 0.35) if pose.from_side and not near else colour
        for hip_x, (aim, bend), reach in zip(hips_x, stance, (0.85, 0.95, 1.25), strict=True):
            hip = (hip_x, 0.04 if pose.from_side else side * 0.02)
            femur = side * (aim + rng.normal(0, 0.16))
            knee = side * bend * rng.uniform(0.7, 1.3)
            joints = [hip]
            for share, angle in ((0.42, femur), (0.43, femur + knee), (0.24, femur + 0.6 * knee)):
                joints.append(_step(joints[-1], share * length * reach, angle))
            for first, thickness in ((2, 0.45), (1, 0.75), (0, 1.0)):  # tarsus, tibia, femur
                pen.stroke(joints[first : first + 2], thickness * width, shade)


def _step(start: tuple[float, float], length: float, angle: float) -> tuple[float, float]:
    return start[0] + length * math.cos(angle), start[1] + length * math.sin(angle)


def _feelers(
    pen: Pen,
    pose: Pose,
    rng: np.random.Generator,
    *,
    root: tuple[float, float],
    scape: float,
    funiculus: float,
    width: float,
    colour: Colour,
) -> None:
    """Two elbowed antennae: the scape outward, then the funiculus forward again."""
    for side in (-1, 1):
        out = -1 if pose.from_side else side  # from the side both rise
        start = (root[0], out * root[1])
        aim = out * rng.uniform(0.5, 1.0) + (0.25 * side if pose.from_side else 0.0)
        back = aim - out * rng.uniform(0.5, 1.2)
        elbow = _step(start, scape, aim)
        middle = _step(elbow, 0.5 * funiculus, back)
        tip = _step(middle, 0.5 * funiculus, back - out * 0.35)
        pen.stroke([start, elbow], width, colour)
        pen.stroke([elbow, middle, tip], 0.8 * width, colour)


def _bands(
    pen: Pen, *, rx: float, ry: float, taper: float, colour: Colour, count: int, width: float
) -> None:
    """Cross bands on an egg, bowed towards its tail as they are on an abdomen."""
    across = np.linspace(-1, 1, 9)
    bow = -0.05 * (1 - across**2)
    for place in np.linspace(-0.72, 0.55, count):
        edges = []
        for x in (place - width / rx, place + width / rx):
            half = ry * math.sqrt(max(0.0, 1 - x * x)) * (1 + taper * x)
            edges.append(np.stack([x * rx + bow, across * half], axis=1))
        pen.polygon(np.concatenate([edges[0], edges[1][::-1]]), colour)


def _fur(
    pen: Pen,
    rng: np.random.Generator,
    *,
    rx: float,
    ry: float,
    colour: Colour,
    count: int,
    length: float,
) -> None:
    """Hairs that point outward, some lighter and some darker than `colour`."""
    angles = rng.uniform(0, 2 * math.pi, count)
    roots = np.sqrt(rng.uniform(0.05, 1, count))
    leans = angles + rng.normal(0, 0.4, count)
    start = np.stack([rx * roots * np.cos(angles), ry * roots * np.sin(angles)], axis=1)
    tip = start + length * np.stack([np.cos(leans), np.sin(leans)], axis=1)
    starts, tips = pen.pixels(start), pen.pixels(tip)
    light = rng.random(count) < 0.5
    for hair in range(count):
        tone = (255, 240, 205) if light[hair] else (16, 12, 10)
        shade = mix(colour, tone, rng.uniform(0, 0.35))
        pen.draw.line([starts[hair], tips[hair]], fill=shade, width=2)


def _wings(pen: Pen, pose: Pose, rng: np.random.Generator) -> None:
    """Two pairs of clear, veined wings, folded back or spread."""
    spread = rng.uniform(0.25, 1.25)
    opacity = int(rng.integers(80, 150))
    glass = vary(WING_TINTS[rng.integers(len(WING_TINTS))], rng)
    vein = (*mix(glass, (40, 30, 24), 0.7), opacity + 60)
    for side in (-1, 1):
        out = -1 if pose.from_side else side
        behind = 0.18 * side if pose.from_side else 0.0
        for swing, length, width in ((0.0, 0.3, 0.105), (-0.22, 0.21, 0.09)):  # fore, hind
            turn = math.pi - out * max(0.08, spread + swing + behind)
            wing = pen.at(0.08 + 0.2 * swing, out * 0.08, turn).at(length, 0.0)
            wing.egg(length, width, (*glass, opacity), taper=0.5)
            for slope in (-0.55, 0.0, 0.5):
                bend, end = (0.0, slope * width), (0.86 * length, 1.3 * slope * width)
                wing.hairline([(-length, 0.0), bend, end], vein)


def _load(pen: Pen, rng: np.random.Generator) -> None:
    """What an ant carries: a cut leaf, a petal or a crumb."""
    corners = OUTLINE[::3]
    radius = 0.12 * rng.uniform(0.7, 1.3) * (1 + 0.35 * rng.random(len(corners)))
    outline = np.stack([radius * np.cos(corners), radius * np.sin(corners)], axis=1)
    pen.polygon(outline, vary(LOADS[rng.integers(len(LOADS))], rng))
