"""The inference thread, and what it does with a pair."""
