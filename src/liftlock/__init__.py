"""Liftlock lets people and code of low privilege cause privileged things to happen, controlled and recorded."""

__version__ = "0.1.0"
