"""Pushing to people: durable streams, ephemeral pictures, the Centrifugo client protocol over them (A1, A3 to A6)."""
