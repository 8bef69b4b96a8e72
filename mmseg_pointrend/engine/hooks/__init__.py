"""Hooks in MMSegmentation's registry."""

from mmseg_pointrend.engine.hooks.flow_visualization_hook import FlowVisualizationHook
from mmseg_pointrend.engine.hooks.invalid_loss_hook import InvalidLossHook
from mmseg_pointrend.engine.hooks.norm_eval_hook import NormEvalHook
from mmseg_pointrend.engine.hooks.num_classes_hook import NumClassesHook
from mmseg_pointrend.engine.hooks.output_names_hook import OutputNamesHook
from mmseg_pointrend.engine.hooks.resumable_checkpoint_hook import (
    ResumableCheckpointHook,
)

__all__ = [
    'FlowVisualizationHook',
    'InvalidLossHook',
    'NormEvalHook',
    'NumClassesHook',
    'OutputNamesHook',
    'ResumableCheckpointHook',
]
