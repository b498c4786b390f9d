"""The linking lab: a platform of your own, virtual phones and a virtual clock, for us and for whoever uses Unbroken.

Import from the modules; `unbroken.testing.lab` is where to begin. Loading this package loads none of them, as pytest
loads it in every run of whoever has Unbroken installed.
"""
