"""What many devices say together: verdicts with a scope, which no single device may claim."""
