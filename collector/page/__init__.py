"""The page and the API: what is in the store, shown to people and to programs. Reads only."""
