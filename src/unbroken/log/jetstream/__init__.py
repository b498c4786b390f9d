"""The payload log on NATS JetStream: a stream that keeps every upload until it was processed, on several disks.

JetStream is used as a log that is read again, not as a queue that hands out and forgets: where a partition is read
from is a row of the store, and moves in the transaction that holds the effect (docs/decisions/0016).
"""

from unbroken.log.jetstream.log import JetStreamLog

__all__ = ["JetStreamLog"]
