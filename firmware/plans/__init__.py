"""Plans: the files that come along, and what reads and refuses them."""
