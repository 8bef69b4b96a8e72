"""Vehicles, cycles and street furniture, as sketches of a few strokes.

See :meth:`Brush.sketch`. All lengths are in metres; points are right, up and forward.
"""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush

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
    'disc red .36 : 0 2.5 0; disc lamp .27 : 0 2.5 0; tube black .03 : 0 2.4 0, 0 2.6 0',
    'disc red .36 : 0 2.5 0; tube white .06 : 0 2.5 -.18, 0 2.5 .18',
    'plate red .46 3 90 : 0 2.4 0; plate white .3 3 90 : 0 2.4 0',
    'plate white .46 4 0 : 0 2.5 0; plate yellow .34 4 0 : 0 2.5 0',
    'disc white .38 : 0 2.5 0; disc blue .35 : 0 2.5 0; tube white .035 :'
    '0 2.3 0, 0 2.7 0, 0 2.56 -.12, 0 2.7 0, 0 2.56 .12',
    'plate white .48 4 45 : 0 2.5 0; plate blue .44 4 45 : 0 2.5 0; tube white .04 :'
    '0 2.28 -.09, 0 2.7 -.09, 0 2.66 .1, 0 2.5 .1, 0 2.46 -.09',
)
SIGNAL = """
@ traffic light
fill white : 0 2.31 -.25, 0 3.49 -.25, 0 3.49 .25, 0 2.31 .25
fill black : 0 2.37 -.19, 0 3.43 -.19, 0 3.43 .19, 0 2.37 .19
disc red*.3 .13 : 0 3.22 0; disc yellow*.3 .13 : 0 2.9 0; disc green*.3 .13 : 0 2.58 0
"""
LIT = 'disc red*1.4 .14 : 0 3.22 0', 'disc green .14 : 0 2.58 0'
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


def draw_car(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a saloon, a hatchback, an off-roader or a van."""
    shapes = (-1.6, 0.6, 1, 1.46), (-2, 0.4, 1, 1.5), (-2.1, 0.2, 1.1, 1.75)
    low, slope, nose, roof = rng.choice([*shapes, (-2.12, 0.1, 1.6, 1.95)])
    high, brow, waist = low + slope, nose - 0.7, 0.95 if roof < 1.6 else 1.08
    places = dict(low=low, high=high, peak=high + 0.4, nose=nose, brow=brow)
    levels = dict(waist=waist, sill=waist + 0.04, roof=roof, top=roof - 0.06)
    post = (low + nose) / 2
    brush.sketch(CAR.format(post=post, front=brow - 0.3, **places, **levels))


def draw_coach(
    brush: Brush, rng: np.random.Generator, length: float, roof: float, plain: bool
) -> None:
    """Paint a bus or a tram with doors and many windows, of one colour or of two."""
    end, high = length / 2, roof - 0.3
    brush.tones['band'] = brush.tones['paint']
    brush.tones['paint'] = brush.tones['paint' if plain else 'white']
    sizes = dict(end=end, nose=end - 0.1, back=0.1 - end, roof=roof, high=high)
    brush.sketch(COACH.format(rear=0.3 - end / 2, front=end / 2, **sizes))
    for place in np.linspace(0.1 - end, end - 0.1, round(length / 1.5)):
        brush.side(np.array([(place, 1.2), (place, high)]), 'paint', 0.06)


def draw_sign(brush: Brush, rng: np.random.Generator) -> None:
    """Paint one traffic sign or two on a post."""
    brush.sketch('tube metal .045 : 0 0 0, 0 2.7 0; @ traffic sign')
    for number in rng.choice(len(SIGNS), rng.integers(1, 3), replace=False):
        brush.sketch(SIGNS[number])
        brush.foot[1] -= 0.8


def draw_traffic_light(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a signal on a post, or another over the road as well."""
    signal = SIGNAL + rng.choice(LIT)
    brush.sketch('tube metal .1 .08 : 0 0 0, 0 2.9 0')
    if rng.random() < 0.5:
        brush.sketch('tube metal .09 .08 .06 : 0 2.8 0, 0 5.2 0, 0 5.4 2.6' + signal)
        brush.foot = brush.world((0, 2.1, 2.6))
        brush.sketch(signal)
        brush.foot = brush.world((0, -2.1, -2.6))
    brush.sketch(signal)


def draw_fence(brush: Brush, rng: np.random.Generator, style: Style) -> None:
    """Paint 3 m of a fence along the street, or of a wall, whose bars have no gaps."""
    tone, high, half, step, rail, thick = style
    bar = np.array([(0, 0, -half), (0, high, -half), (0, high, half), (0, 0, half)])
    brush.fill(bar + np.arange(half, 3, step)[:, None, None] * (0, 0, 1), tone)
    for up in np.arange(high - 0.12, 0.1, -rail):
        brush.tube([(0, up, 0), (0, up, 3)], tone + '*.88', thick)
