"""Unbroken: self-hosted user linking. One person, one unbroken timeline, through every reinstall and new phone."""
