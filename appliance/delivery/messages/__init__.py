"""What is said, whichever way it goes: batches, the headline, signatures."""
