"""Paired colour and infrared videos of one's own, listed in a CSV file."""
