"""What measurements come to: observation, ladder, facts, verdict. Pure."""
