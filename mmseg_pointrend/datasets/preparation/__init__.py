"""Preparing downloaded data sets."""
