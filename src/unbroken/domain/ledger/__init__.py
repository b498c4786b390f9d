"""The ledger: the append-only record of identity facts, and the fold that says who is who and who was active when."""
