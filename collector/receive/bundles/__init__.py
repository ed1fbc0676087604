"""The way in by hand: bundles that devices wrote onto a USB drive."""
