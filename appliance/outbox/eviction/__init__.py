"""What leaves when not all can be kept."""
