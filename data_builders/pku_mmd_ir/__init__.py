"""PKU-MMD, colour and infrared."""
