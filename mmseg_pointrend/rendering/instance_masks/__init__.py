"""Masks of instances: PointRend inside boxes, as in Mask R-CNN (section 4).

N regions, each a box on one image of a batch, have coarse masks of K channels, one a
class or a single class-agnostic one. A mask covers its box: points are (x, y) in [0, 1]
of the box, and the centre of pixel i of n sits at (i + 0.5) / n. A box is
(x1, y1, x2, y2) in continuous pixels, where pixel i covers [i, i + 1) and the whole
image is (0, 0, W, H), as in detectron2 and in ``RoIAlign(aligned=True)``. There is no
``align_corners`` here: boxes have edges.
"""
