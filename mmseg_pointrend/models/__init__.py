"""Modules in MMSegmentation's registry."""

from mmseg_pointrend.models.cascade_psp import CascadePSP
from mmseg_pointrend.models.efficientnet_lite import EfficientNetLite
from mmseg_pointrend.models.point_mlp import PointMLP
from mmseg_pointrend.models.point_rend_encoder_decoder import PointRendEncoderDecoder
from mmseg_pointrend.models.point_rend_head import PointRendHead
from mmseg_pointrend.models.refined_segmentor import RefinedSegmentor
from mmseg_pointrend.models.semantic_flow_fpn import SemanticFlowFPN
from mmseg_pointrend.models.tta import PointRendTTAModel

__all__ = [
    'CascadePSP',
    'EfficientNetLite',
    'PointMLP',
    'PointRendEncoderDecoder',
    'PointRendHead',
    'PointRendTTAModel',
    'RefinedSegmentor',
    'SemanticFlowFPN',
]
