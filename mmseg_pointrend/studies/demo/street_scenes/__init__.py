"""Procedurally drawn street scenes in the Cityscapes folder layout."""

from __future__ import annotations

from mmseg_pointrend.studies.demo.street_scenes.scene import StreetScene, render_scene
from mmseg_pointrend.studies.demo.street_scenes.writer import write_dataset

__all__ = ['StreetScene', 'render_scene', 'write_dataset']
