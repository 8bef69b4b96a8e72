"""The example of instance masks."""
