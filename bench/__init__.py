"""Performance of the platform, as ratios within one run on one machine: `python -m bench`."""
