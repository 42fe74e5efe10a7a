"""The made-up world at night, filmed by an under-exposed camera in ARID's layout; see docs/synthetic_world.md."""
