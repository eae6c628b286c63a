"""The embedded dataset: generated scenes with planned near-twins, and their evaluator."""
