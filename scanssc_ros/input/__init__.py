"""Messages in, calibrated pairs out."""
