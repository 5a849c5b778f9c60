"""Guests: seats over two campuses (B7)."""
