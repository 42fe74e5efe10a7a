"""What the builders of dark video share: colour videos that the owners' lists assign to splits."""
