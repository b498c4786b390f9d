-- The public half of the key that an install registered with (SubjectPublicKeyInfo in DER); none: its credential is enough.
ALTER TABLE installs ADD COLUMN install_key BYTEA;
