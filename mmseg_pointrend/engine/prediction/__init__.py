"""From images, a video or a camera to files that show what a model sees in them."""
