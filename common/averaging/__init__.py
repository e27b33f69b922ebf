"""Averages: their weights, the homogeneity that FedPhD weighs by, the quorum, and the ordered sum."""
