"""Compiled programs are kept on disk, so that the second start of a run is a quick one."""

from pathlib import Path


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, unless JAX_COMPILATION_CACHE_DIR says where they go."""
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update(
            "jax_compilation_cache_dir", str(Path("~/.cache/rgb2ir_jax/xla").expanduser())
        )
        # Many small programs add up to a second of every start.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
