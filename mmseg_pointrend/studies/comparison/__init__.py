"""What rendering changes in images, in pictures."""
