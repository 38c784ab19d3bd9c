"""Webhooks: received, verified and kept as hints. What they say is read from the API."""
