"""The room of people, tried through its door, its commands and its routes (J3)."""
