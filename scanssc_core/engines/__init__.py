"""Networks as graphs in files, and the runtimes of others that run them."""
