"""What the records of one round say of the line they were measured on: conditions, rules, verdict."""
