"""The pages people use, and what is served with them (J1, G1)."""
