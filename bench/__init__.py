"""Measures reading side by side: floors, peers and ours, on one load server, in one run."""
