"""The embedded dataset: generated scenes with planned near-twins, and the evaluator that asks which attribute confuses a model."""
