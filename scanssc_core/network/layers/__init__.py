"""What several parts of the network use."""
