"""NTU RGB+D, colour and infrared."""
