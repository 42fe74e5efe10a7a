"""ARID, actions in the dark, from the owners' videos and lists."""
