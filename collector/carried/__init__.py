"""What was carried here by hand: bags that devices wrote onto a stick."""
