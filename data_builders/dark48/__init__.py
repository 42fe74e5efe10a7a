"""Dark-48, actions in the dark, from the owners' videos and lists."""
