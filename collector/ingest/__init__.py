"""Taking in: from the broker's message to the durable commit and the ack."""
