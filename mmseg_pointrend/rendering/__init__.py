"""The geometry of PointRend: torch alone."""
