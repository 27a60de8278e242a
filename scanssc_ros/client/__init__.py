"""For subscribers: the messages of this package as arrays."""
