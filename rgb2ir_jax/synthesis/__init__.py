"""A made-up world that a colour and an infrared camera film at once; see docs/synthetic_world.md."""
