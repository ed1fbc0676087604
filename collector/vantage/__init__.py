"""The vantage: the targets of the devices' plans, measured from outside, so that a failure inside can be told from one everywhere."""
