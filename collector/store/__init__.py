"""What is kept, and the questions that may be asked of it."""
