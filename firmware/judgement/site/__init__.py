"""What became of one site, judged beside the vantage outside: facts, conditions, rules, verdict."""
