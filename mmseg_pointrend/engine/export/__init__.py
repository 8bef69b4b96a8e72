"""One file that turns images into labels, without this package."""
