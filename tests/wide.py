"""Wide numbers, `jax_enable_x64`, for some lines, with every version of JAX."""

import functools

import jax

if hasattr(jax, "enable_x64") and callable(jax.enable_x64):
    wide_numbers = functools.partial(jax.enable_x64, True)
else:  # before jax 0.9
    from jax.experimental import enable_x64 as wide_numbers

__all__ = ["wide_numbers"]
