"""What needs several devices: `conftest` makes four of a CPU, and of GPUs there may be one."""

import jax
import pytest

from envhub.flags import FLAGS

NUM_DEVICES = len(jax.devices())
EXAMINED = [flag for flag in FLAGS if flag != "multi_device" or NUM_DEVICES > 1]
"""The flags whose probes run here."""


def why_not(needed: int) -> str:
    return f"needs {needed} devices, and here is {NUM_DEVICES} ({jax.default_backend()})"


def needs_devices(needed: int) -> pytest.MarkDecorator:
    return pytest.mark.skipif(needed > NUM_DEVICES, reason=why_not(needed))
