"""Benchmarks of speed: what is compared runs in the same rounds, and a page keeps the figures."""
