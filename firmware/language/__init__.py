"""What is said to people: one catalogue of sentences for each language, and what makes a sentence out of a key and values."""
