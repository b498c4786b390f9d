"""What a release is made of: the wheel, the bills of materials, and their checksums.

`python -m tools.release DIRECTORY` writes them; CONTRIBUTING.md says how they are signed.
"""
