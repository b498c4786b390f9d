"""The steps of the platform, one module each, all of one shape: load, decide, save, announce, in one transaction.

register   an install and its own user come to be
link       the customer's server says whose an install is; codes and tickets
tokens     an install gets its next credentials, learns its own state, or resets itself
ingest     uploads are taken, durably, without asking who is who
process    what was taken becomes payloads, then timelines
read       what a user, an operator or the customer's server may know
erase      a person is gone
administer apps, with policies and keys beside it
tidy       what has ended is let go of
"""
