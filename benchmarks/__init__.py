"""Measurements that back what ARCHITECTURE.md says; `make bench` runs all of them."""
