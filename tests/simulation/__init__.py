"""The simulation itself is tested here: that it repeats, that it finds planted bugs, and what it says of the house."""
