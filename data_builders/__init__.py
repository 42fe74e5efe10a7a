"""Builders that turn footage into TFDS records, for the stock `tfds build` command."""
