"""Tests, and what examines every environment for the compatibility matrix."""

import gc

# Tracing makes many objects that live on: to look through them all again and again, as CPython does
# by default, takes a quarter of its time.
gc.set_threshold(20_000)
