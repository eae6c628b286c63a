"""Rivals written against harness.api alone: CCA, a bag of words, InfoNCE."""
