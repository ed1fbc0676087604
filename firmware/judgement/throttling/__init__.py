"""Whether one name is slowed: paired runs of a suspect, a control and a random name, and what they come to. Pure."""
