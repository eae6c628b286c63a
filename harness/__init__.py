"""A benchmarking harness for image-text retrieval."""
