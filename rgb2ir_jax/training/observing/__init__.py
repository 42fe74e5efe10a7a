"""What a run shows while it lasts: progress, metrics, time, pictures, traces."""
