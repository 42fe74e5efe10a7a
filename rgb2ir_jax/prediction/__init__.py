"""A trained network at work: from video files and cameras to class names and probabilities."""
