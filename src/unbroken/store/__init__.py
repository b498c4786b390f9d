"""Where things rest. `contract` says what every engine promises; an engine knows no rule of linking."""
