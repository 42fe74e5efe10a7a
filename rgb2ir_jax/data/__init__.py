"""Records to batches: reading, segment sampling, augmentation, batching; no TensorFlow."""
