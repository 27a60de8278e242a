"""2-D features of the left image: EfficientNet and a neck that brings its levels to one stride."""
