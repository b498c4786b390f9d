"""Fake authorities of device attestation, and the encodings that they write."""
