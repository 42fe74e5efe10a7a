"""What to run; `python -m rgb2ir_jax.main --config=configs/NAME.py:VARIANT`."""
