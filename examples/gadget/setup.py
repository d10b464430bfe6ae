"""Arbitrary code, as every setup.py is: it runs when the distributions are built, in stage 1 and nowhere else."""

from setuptools import setup

setup()
