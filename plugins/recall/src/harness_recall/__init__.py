"""Recall at K, median and mean rank, rSum: the figures of the literature."""
