"""Wrappers, under Gymnasium's names where it has one."""

from envhub.wrappers.autoreset import AutoReset

__all__ = ["AutoReset"]
