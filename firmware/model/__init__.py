"""What everything is about: the record, the task, the plan, and the closed lists of words. Values only."""
