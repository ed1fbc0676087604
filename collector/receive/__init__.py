"""From what devices send to the durable commit and the ack, whichever way it came."""
