"""SEAL's published results, file by file: shapes, rules, arms, rewards, bills, and the reader that joins them."""
