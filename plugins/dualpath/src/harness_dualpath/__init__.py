"""The dual-path CNN with instance loss (Zheng et al., TOMM 2020)."""
