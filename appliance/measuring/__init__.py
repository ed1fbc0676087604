"""When to measure, within which budget, and what becomes of it: schedule, rounds, records, worker, health."""
