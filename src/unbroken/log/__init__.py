"""The payload log: what was captured, from its acknowledgement until it was processed."""
