"""Vehicles, street furniture, people and plants: sketches and what varies them.

See :meth:`Brush.sketch`. All lengths are in metres; points are right, up and forward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush

Point = tuple[float, float, float]
LEAF = np.array([(1, 0), (0.4, 0.55), (-0.5, 0.45), (-1, 0), (-0.4, -0.5), (0.5, -0.5)])
CAR = """
wheels rubber .84 .34 : -1.4, 1.4
body paint : -2.1 .28 .82, -2.2 .55 .88, -2.15 {waist} .84, {low} {waist} .82,
  {high} {top} .66, {peak} {roof} .64, {front} {roof} .64, {brow} {top} .66,
  {nose} {waist} .82, 2 .8 .8, 2.18 .58 .86, 2.15 .28 .82
panel red 1 : .02 .42, .2 .88, .8 .42, .98 .88; panel white 1 : .36 .3, .64 .6
panel glass 3 : .08 .1, .92 .88; panel shine 3 : .12 .5, .5 .84
panel glass 7 : .06 .1, .94 .9; panel shine 7 : .1 .12, .5 .5
panel lamp 9 : .03 .3, .22 .8, .78 .3, .97 .8; panel rubber 9 : .26 .3, .74 .8
side glass : {low} {sill}, {high} {top}, {brow} {top}, {nose} {sill}
side shine : {post} {sill}, {post} {top}, {brow} {top}, {front} {sill}
side paint .04 : {post} {waist}, {post} {roof}
side paint*.6 .012 : {post} .36, {post} {waist}, {nose} {waist}, {nose} .36
wheels chrome .88 .34 : -1.4, 1.4
"""
COACH = """
wheels rubber 1.15 .48 : {rear}, {front}
body paint : {back} .3 1.25, -{end} 1.2 1.25, {back} {high} 1.22, {back} {roof} 1.1,
  {nose} {roof} 1.1, {nose} {high} 1.22, {end} 1.2 1.25, {nose} .3 1.25
panel band 0 : 0 0, 1 1; panel red 0 : .04 .5, .14 .9, .86 .5, .96 .9
panel white 0 : .38 .25, .62 .45; panel glass 1 : .12 .35, .88 .8
panel glass 5 : .06 .22, .94 1; panel shine 5 : .1 .5, .45 .9
panel black 5 : .2 .02, .8 .18
panel band 6 : 0 0, 1 1; panel lamp 6 : .05 .25, .22 .5, .78 .25, .95 .5
side band : {back} .3, {back} 1.05, {nose} 1.05, {nose} .3
side glass : {back} 1.2, {back} {high}, {nose} {high}, {nose} 1.2
side shine : {back} 1.9, {back} 2.1, {nose} 2.1, {nose} 1.7
side glass : 1 .4, 1 1.2, 2.2 1.2, 2.2 .4; side glass : -3 .4, -3 1.2, -1.8 1.2, -1.8 .4
wheels chrome 1.26 .48 : {rear}, {front}
"""
TRUCK = """
wheels rubber 1.18 .5 : -2.6, -1.5, 2.9
body paint : 2 .5 1.15, 2 2.6 1.12, 2.2 2.75 1.05, 3.7 2.75 1.05, 4 .45 1.15
side glass : 2.6 1.55, 2.6 2.5, 3.4 2.5, 3.6 1.55
body steel : -3.95 .55 .9, -3.95 .95 1.1, 2.2 .95 1.1, 2.2 .55 .9
panel red 0 : .02 .2, .16 .8, .84 .2, .98 .8
body wall : -4 .95 1.22, -4 3.4 1.22, 1.9 3.4 1.22, 1.9 .95 1.22
panel steel 0 : .49 .02, .51 .98; panel paint 0 : .1 .4, .9 .6
side paint : -3.6 1.9, -3.6 2.6, 1.5 2.6, 1.5 1.9
wheels chrome 1.23 .5 : -2.6, -1.5, 2.9
"""
BICYCLE = """
tube chrome .009 : 0 .34 -.83, 0 .34 -.23, 0 .34 -.53, 0 .6 -.68, 0 .08 -.38,
  0 .34 -.53, 0 .6 -.38, 0 .08 -.68
tube chrome .009 : 0 .34 .25, 0 .34 .85, 0 .34 .55, 0 .6 .4, 0 .08 .7,
  0 .34 .55, 0 .6 .7, 0 .08 .4
disc rubber .35 .285 : 0 .34 -.53; disc rubber .35 .285 : 0 .34 .55
tube paint .024 : 0 .3 .02, 0 .34 -.53, 0 .84 -.14, 0 .86 .34, 0 .3 .02, 0 .84 -.14
tube paint .022 : 0 .34 .55, 0 .86 .34, 0 1.02 .3; disc steel .1 .05 : 0 .3 .02
tube rubber .05 : 0 .99 -.3, 0 .98 -.05; tube rubber .02 : .05 .38 -.04, -.05 .2 .08
tube rubber .02 : -.27 1.05 .25, -.25 1.07 .36, 0 1.02 .3, .25 1.07 .36, .27 1.05 .25
"""
MOTORCYCLE = """
tube chrome .025 : 0 .32 -.9, 0 .32 -.46, 0 .32 -.68, 0 .12 -.68, 0 .52 -.68
tube chrome .025 : 0 .32 .5, 0 .32 .94, 0 .32 .72, 0 .12 .72, 0 .52 .72
disc rubber .33 .2 : 0 .32 -.68; disc rubber .33 .2 : 0 .32 .72
tube chrome .045 : 0 .32 .72, 0 .95 .42; tube chrome*.7 .14 : 0 .46 0, 0 .46 .16
tube steel .05 .05 .15 .14 : 0 .32 -.68, 0 .42 -.2, 0 .3 -.15, 0 .34 .25
tube chrome .04 .06 : .1 .26 .15, .12 .34 -.85
tube paint .11 .15 : 0 .74 -.02, 0 .82 .34; tube paint .1 .06 : 0 .66 -.3, 0 .76 -.85
tube rubber .08 .07 : 0 .8 -.05, 0 .84 -.6; tube lamp .1 : 0 .92 .48, 0 .92 .54
tube paint .045 : 0 .66 .5, 0 .68 .7, 0 .58 .98
tube rubber .024 : -.32 1.08 .24, 0 1 .4, .32 1.08 .24
"""
LAMP = """
tube metal .12 .09 .06 .05 .05 : 0 0 0, 0 1.2 0, 0 6.6 0, 0 6.95 .5, 0 7.05 1.8
tube metal*.8 .1 .08 : 0 7.02 1.7, 0 7.05 2.4
"""
BOLLARD = 'tube paint .09 : 0 0 0, 0 .95 0; rects white : -.09 .7 .09 .85'
BIN = 'rects paint*.7 : -.25 .05 .25 .9; tube steel .05 : -.26 .92 0, .26 .92 0'
SIGNS = (
    'disc red .36 : 0 2.5 0; disc lamp .27 : 0 2.5 0; disc black .05 : 0 2.5 0',
    'disc red .36 : 0 2.5 0; tube white .06 : 0 2.5 -.18, 0 2.5 .18',
    'fill red : 0 2.2 -.42, 0 2.9 0, 0 2.2 .42; fill white : 0 2.29 -.25, 0 2.7 0,'
    '0 2.29 .25',
    'fill white : 0 2.5 -.46, 0 2.96 0, 0 2.5 .46, 0 2.04 0;'
    'fill yellow : 0 2.5 -.34, 0 2.84 0, 0 2.5 .34, 0 2.16 0',
    'disc white .38 : 0 2.5 0; disc blue .35 : 0 2.5 0; tube white .035 : 0 2.3 0,'
    '0 2.7 0, 0 2.56 -.12, 0 2.7 0, 0 2.56 .12',
    'fill blue : 0 2.16 -.34, 0 2.84 -.34, 0 2.84 .34, 0 2.16 .34; tube white .05 :'
    '0 2.3 -.15, 0 2.7 -.15, 0 2.5 -.15, 0 2.5 .15, 0 2.7 .15, 0 2.3 .15',
)
SIGNAL = """
@ traffic light
fill white : 0 2.31 -.25, 0 3.49 -.25, 0 3.49 .25, 0 2.31 .25
fill black : 0 2.37 -.19, 0 3.43 -.19, 0 3.43 .19, 0 2.37 .19
disc red*{} .13 : 0 3.22 0; disc yellow*{} .13 : 0 2.9 0; disc green*{} .13 : 0 2.58 0
"""
Style = tuple[str, float, float, float, float, float]
# Tone, height, half width and distance of the bars, distance and radius of the rails.
FENCES = (
    ('white', 1, 0.05, 0.2, 0.7, 0.04), ('steel', 1.3, 0.03, 0.18, 1, 0.04),
    ('chrome', 1, 0.025, 0.14, 0.8, 0.04), ('wood', 0.9, 0.07, 1.5, 0.3, 0.06),
)  # fmt: skip
WALLS = (
    ('stone', 1.1, 0.75, 1.5, 0.95, 0.1), ('brick', 1.5, 0.75, 1.5, 0.16, 0.012),
    ('wall', 1.9, 0.75, 1.5, 1.6, 0.1),
)  # fmt: skip


def draw_car(brush: Brush) -> None:
    """Paint a saloon, a hatchback, an off-roader or a van."""
    shapes = (-1.6, 0.6, 1, 1.46), (-2, 0.4, 1, 1.5), (-2.1, 0.2, 1.1, 1.75)
    low, slope, nose, roof = brush.rng.choice([*shapes, (-2.12, 0.1, 1.6, 1.95)])
    high, brow, waist = low + slope, nose - 0.7, 0.95 if roof < 1.6 else 1.08
    places = dict(low=low, high=high, peak=high + 0.4, nose=nose, brow=brow)
    levels = dict(waist=waist, sill=waist + 0.04, roof=roof, top=roof - 0.06)
    post = (low + nose) / 2
    brush.sketch(CAR.format(post=post, front=brow - 0.3, **places, **levels))


def draw_coach(brush: Brush, length: float, roof: float, plain: bool) -> None:
    """Paint a bus or a tram with doors and many windows, of one colour or of two."""
    end, high = length / 2, roof - 0.3
    brush.tones['band'] = brush.tone('paint')
    brush.tones['paint'] = brush.tone('paint' if plain else 'white')
    sizes = dict(end=end, nose=end - 0.1, back=0.1 - end, roof=roof, high=high)
    brush.sketch(COACH.format(rear=0.3 - end / 2, front=end / 2, **sizes))
    for place in np.linspace(0.1 - end, end - 0.1, round(length / 1.5)):
        brush.side(np.array([(place, 1.2), (place, high)]), 'paint', 0.04)


def draw_sign(brush: Brush) -> None:
    """Paint one traffic sign or two on a post."""
    brush.sketch('tube metal .045 : 0 0 0, 0 2.7 0; @ traffic sign')
    for number in brush.rng.choice(len(SIGNS), brush.rng.integers(1, 3), replace=False):
        brush.sketch(SIGNS[number])
        brush.foot[1] -= 0.8


def draw_traffic_light(brush: Brush) -> None:
    """Paint a signal on a post, or another over the road as well."""
    signal = SIGNAL.format(*brush.rng.permutation((1.2, 0.3, 0.3)))
    brush.sketch('tube metal .1 .08 : 0 0 0, 0 2.9 0')
    if brush.rng.random() < 0.5:
        brush.sketch('tube metal .09 .08 .06 : 0 2.8 0, 0 5.2 0, 0 5.4 2.6' + signal)
        brush.foot = brush.world((0, 2.1, 2.6))
    brush.sketch(signal)


def draw_fence(brush: Brush, style: Style) -> None:
    """Paint 3 m of a fence along the street, or of a wall, whose bars have no gaps."""
    tone, high, half, step, rail, thick = style
    bar = np.array([(0, 0, -half), (0, high, -half), (0, high, half), (0, 0, half)])
    brush.fill(bar + np.arange(half, 3, step)[:, None, None] * (0, 0, 1), tone)
    for up in np.arange(high - 0.12, 0.1, -rail).tolist():
        brush.tube([(0, up, 0), (0, up, 3)], tone + '*.88', thick)


def bent(start: Point, end: Point, part: float, bend: int) -> list[Point]:
    """Make a limb of two equal parts, its joint to the front (1) or the back (-1)."""
    up, forward = end[1] - start[1], end[2] - start[2]
    span = math.hypot(up, forward)
    out = bend * math.sqrt(max(part**2 - span**2 / 4, 0)) / span
    x, y, z = ((a + b) / 2 for a, b in zip(start, end, strict=True))
    return [start, (x, y + forward * out, z - up * out), end]


def draw_figure(
    brush: Brush,
    hip: Point,
    lean: float,
    feet: Sequence[Point],
    hands: Sequence[Point],
    helmet: bool = False,
) -> None:
    """Paint a person whose shoulders lean forward; feet and hands are left, right."""
    _, up, forward = hip
    neck, head = (0, up + 0.5, forward + lean), (0, up + 0.68, forward + 1.3 * lean)
    skirt, bag, bare = brush.rng.random(3) < (0.2, 0.25, 0.35)
    torso = (0, 1, 'paint*.85'), (0.05 * brush.camera.sun_side, 0.6, 'paint*1.1')
    for side, light in ((-1, '*.8'), (1, '*1.05')):
        foot, hand = feet[side > 0], hands[side > 0]
        arm = bent((0.2 * side, neck[1] - 0.06, neck[2]), hand, 0.29, -1)
        leg = bent((0.09 * side, up, forward), foot, 0.43, 1)
        brush.tube(leg, ('skin' if skirt else 'cloth') + light, 0.1, 0.072, 0.052)
        toe = [(foot[0], foot[1] - 0.03, foot[2] + z) for z in (-0.03, 0.17)]
        brush.tube(toe, 'black', 0.055, 0.045)
        for x, size, tone in torso if side > 0 else ():
            spine = [(x, up + 0.02, forward), (x, neck[1] - 0.1, neck[2])]
            brush.tube(spine, tone, 0.15 * size, 0.19 * size)
        brush.tube(arm, ('skin' if bare else 'paint') + light, 0.062, 0.05, 0.045)
    if skirt and not helmet:
        brush.tube([hip, (0, up - 0.25, forward)], 'cloth', 0.15, 0.25)
    if bag:
        brush.tube([(0, up + y, neck[2] - 0.2) for y in (0.38, 0.12)], 'metal', 0.14)
    brush.tube([neck, head, (0, head[1] + 0.03, head[2])], 'skin', 0.06, 0.105, 0.105)
    crown = [(0, head[1] + 0.1, head[2] + z) for z in (-0.04, 0.03)]
    brush.tube(crown, 'metal' if helmet else 'hair', 0.115)


def draw_person(brush: Brush) -> None:
    """Paint a person who walks or stands."""
    step = brush.rng.uniform(0.1, 0.4) if brush.rng.random() < 0.8 else 0.04
    feet = [(s * 0.1, 0.08, s * step) for s in (-1, 1)]
    hands = [(s * 0.27, 0.88, -s * 0.8 * step) for s in (-1, 1)]
    draw_figure(brush, (0, 0.92, 0), 0.03, feet, hands)


def draw_rider(brush: Brush, sketch: str, seat: float, pedal: float) -> None:
    """Paint two wheels and who rides them; the seat and the pedals are so high."""
    brush.sketch(sketch + '@ rider')
    turn = brush.rng.uniform(0, np.pi)
    up, forward = 0.15 * math.sin(turn), 0.15 * math.cos(turn)
    feet = [(s * 0.12, pedal + s * up, s * forward) for s in (-1, 1)]
    hands = [(s * 0.24, 1.09, 0.3) for s in (-1, 1)]
    draw_figure(brush, (0, seat, -0.18), 0.25, feet, hands, helmet=True)


def draw_leaves(
    brush: Brush, centre: Sequence[float], radius: float, light: float = 1
) -> None:
    """Paint a bunch of leaves, dark ones first, with gaps at its ragged edge.

    Its centre is right and up of the brush; far away, leaves are fewer and larger.
    """
    camera, rng, far = brush.camera, brush.rng, brush.foot[2]
    count = int(np.clip(900 / far, 12, 80))
    angle, turn = rng.uniform(0, 2 * np.pi, (2, count))
    reach = np.sqrt(rng.random(count)) * (1 + 0.16 * np.sin(3 * angle + turn[0]))
    place = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    level = 0.5 + place @ (0.2 * camera.sun_side, 0.34) + rng.normal(0, 0.17, count)
    order, tone = np.argsort(level), brush.tone('leaf') * light
    dark, bright = tone * (0.34, 0.4, 0.46), tone * (1.3, 1.22, 0.9)
    mixed = dark + np.outer(level[order].clip(0, 1), bright + 12 - dark)
    size = rng.uniform(0.75, 1.5, count) / np.sqrt(count)
    cos, sin = np.cos(turn) * size, np.sin(turn) * size
    spin = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    leaves = (place[order, None] + LEAF @ spin) * np.array((radius, -radius))
    middle = camera.project(brush.foot + np.array((*centre, 0)))
    seen = middle + leaves * camera.focal / far
    camera.canvas.scatter(seen, camera.shade(mixed, 1, far), brush.ident)


def draw_tree(brush: Brush) -> None:
    """Paint a broad-leaved tree with see-through gaps in its crown."""
    rng = brush.rng
    height, lean = rng.uniform(5.5, 9.5), rng.normal(0, 0.15)
    trunk, spread = height * rng.uniform((0.3, 0.2), (0.4, 0.27))
    middle, girth = np.array((lean, (height + trunk) / 2)), 0.02 * height
    bunches = 7 if brush.foot[2] < 45 else 4
    for shift in rng.normal(0, (0.5, 0.35), (2, 2)) * spread:
        draw_leaves(brush, middle + shift, 0.9 * spread, 0.68)
    lit = 0.4 * girth * brush.camera.sun_side
    for x, tone, wide in ((0, 'bark*.8', girth), (lit, 'bark*1.2', 0.4 * girth)):
        stem = [(x, 0, 0), (lean + x, 1.3 * trunk, 0)]
        brush.tube(stem, tone, 1.25 * wide, 0.7 * wide)
    for x, y, low in rng.uniform(
        (-0.75, -0.1, 0.85), (0.75, 0.6, 1.25), (bunches - 4, 3)
    ):
        tip = lean + x * spread, middle[1] + y * spread, 0
        brush.tube([(lean, low * trunk, 0), tip], 'bark*.7', 0.5 * girth, 0.15 * girth)
    for turn in 2 * np.pi / bunches * (np.arange(bunches) + rng.random()):
        reach, size = rng.uniform((0.5, 0.42), (0.85, 0.66)) * spread
        shift = reach * np.array((np.cos(turn), 0.85 * np.sin(turn)))
        draw_leaves(brush, middle + shift, size)
    draw_leaves(brush, np.add(middle, (0, 0.3 * spread)), 0.6 * spread)
