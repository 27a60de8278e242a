"""Evaluation as the benchmarks and the paper do it, baselines, and the submission to the hidden test server."""
