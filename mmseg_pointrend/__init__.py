"""PointRend for MMSegmentation: sharp boundaries by adding one dict to a config.

Importing this package registers its modules in MMSegmentation's registries.
"""

from mmseg_pointrend import compat  # isort: skip  (must come before mmseg)
from mmseg_pointrend.engine import safe_loading  # isort: skip
from mmseg_pointrend import datasets, evaluation, models
from mmseg_pointrend.engine import hooks, optimizer

__version__ = '0.1.0'
__all__ = [
    'compat',
    'datasets',
    'evaluation',
    'hooks',
    'models',
    'optimizer',
    'safe_loading',
]
