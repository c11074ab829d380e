"""The host bridge: CPU libraries under the contract, without the usual limits of callbacks.

An adapter describes one live instance of its suite (`Instance`); the bridge owns everything else:
batching (`pool`), the calls from compiled programs (`transport`), snapshots (`snapshot`) and the
environment that callers see (`environment`).
"""

from envhub.host.environment import HostEnvironment, HostState
from envhub.host.instance import Instance, InstanceStep
from envhub.host.options import BRIDGE_OPTIONS, host_capabilities

__all__ = [
    "BRIDGE_OPTIONS",
    "HostEnvironment",
    "HostState",
    "Instance",
    "InstanceStep",
    "host_capabilities",
]
