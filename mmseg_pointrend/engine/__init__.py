"""From a config to a Runner."""
