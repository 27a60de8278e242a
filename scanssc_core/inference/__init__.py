"""A network made fast for inference, and what a network costs."""
