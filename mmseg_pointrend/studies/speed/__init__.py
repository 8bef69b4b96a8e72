"""The judge: MMSegmentation's models and ours, timed in turn in one process."""
