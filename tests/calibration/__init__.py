"""The country in virtual time held against the country in namespaces: the same drawn cases played both ways."""
