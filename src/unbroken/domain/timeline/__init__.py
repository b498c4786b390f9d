"""The timeline: a pure fold from a person's accepted items, in order of capture time, to events that tile it."""
