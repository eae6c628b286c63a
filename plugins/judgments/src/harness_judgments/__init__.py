"""Evaluators over more than one right answer, and over people's judgments."""
