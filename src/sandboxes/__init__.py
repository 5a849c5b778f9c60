"""Local stand-ins for outside companies, each a server of its own that knows its company's papers and not us."""
