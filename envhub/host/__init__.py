"""The host bridge: CPU libraries under the contract, without the usual limits of callbacks.

An adapter describes one live instance of its suite (`Instance`); the bridge owns everything else:
batching (`pool`), the calls from compiled programs (`transport`), snapshots (`snapshot`) and the
environment that callers see (`environment`).
"""

# Not `environment`, which makes JAX load its callbacks: an adapter imports it where it makes one.
from envhub.host.instance import Instance, InstanceStep
from envhub.host.options import BRIDGE_OPTIONS, host_capabilities

__all__ = [
    "BRIDGE_OPTIONS",
    "Instance",
    "InstanceStep",
    "host_capabilities",
]
