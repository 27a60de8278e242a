"""Context features and a depth distribution for each pixel of the image features."""
