"""Hooks in MMEngine's registry."""

from mmseg_pointrend.hooks.norm_eval_hook import NormEvalHook

__all__ = ['NormEvalHook']
