"""The audit: whether every record that devices made is accounted for, and whether they said what is stored."""
