"""Video files in and out (PyAV), JPEG frames (simplejpeg), recoding in parallel."""
