"""The methods that make a student imitate a teacher, one file each; see `registry` for their names."""
