"""The attack suite: what somebody who means harm would try on a platform, from outside (decision 0027).

It knows a platform by its address, by the document it serves, and by two throw-away apps that the operator made for it;
it imports nothing of the server. Each chapter is a module that makes attacks as data; an attack says what it would win,
what is to stop it, and what happened.
"""

from unbroken.attack.ownership import NotProven, prove
from unbroken.attack.run import Wanted, run_suite

__all__ = ["NotProven", "Wanted", "prove", "run_suite"]
