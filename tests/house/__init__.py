"""The rules of the house that no off-the-shelf linter knows, each with a planted violation that it must catch."""
