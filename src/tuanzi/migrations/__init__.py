"""Numbered SQL files: a folder for each kind of database, `every/` for what all have; never edited once released."""
