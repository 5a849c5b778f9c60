"""Tuanzi 团子: campus food delivery by group buying. The walk through the house is `docs/tour.md`."""
