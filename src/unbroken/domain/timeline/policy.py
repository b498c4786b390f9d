"""The numbers of the timeline fold, each with its unit in the name and its source.

[Li 2008] Li, Zheng, Xie, Chen, Liu, Ma: Mining user similarity based on location history, ACM GIS 2008.
[Zheng 2010] Zheng, Chen, Li, Xie, Ma: Understanding transportation modes based on GPS data, ACM TWEB 4(1), 2010.
Numbers without a source were chosen on the MobilityNet phone days (Shankari et al. 2020).
"""

from __future__ import annotations

from typing import Final

# Stays
STAY_RADIUS_M: Final = 65.0  # [Li 2008] took 200; phones of today err by less, and a smaller one tells arrivals sooner
STAY_MIN_MS: Final = 300_000  # five minutes: shorter stops are lights, doors and bus stops
NEAR_M: Final = 35.0  # within the spread of indoor fixes: the person has not left yet
RETURN_MAX_MS: Final = 600_000  # an excursion shorter than this that never got far ...
RETURN_MAX_M: Final = 200.0  # ... than this is the wander of indoor fixes, not a trip
SAME_PLACE_M: Final = 125.0  # a second stay this near, reached without going far, is the first one still
OPEN_STAY_MS: Final = 120_000  # an unconfirmed halt of this length is shown as an open stay at the end

# Silence
SILENCE_MS: Final = 480_000  # phones go quiet when they lie still: from here on silence is evidence
SILENCE_STAY_MPS: Final = 0.5  # below this implied speed the silence was a stay
TUNNEL_MS: Final = 120_000  # a moving phone that is silent so long has lost the sky
WALK_MPS: Final = 1.4  # a walk: how long before the first distant fix the person must have left
HOP_MAX_MS: Final = 1_800_000  # silence up to this long between two distant fixes is a plausible ride ...
HOP_MIN_MPS: Final = 5.0  # ... and longer silence is one only at the speed of rail or air
OFF_GRID_MS: Final = 86_400_000  # after a day of silence nothing is claimed, not even a stay

# Cleaning
IMPOSSIBLE_MPS: Final = 320.0  # faster than any airliner: the positions contradict each other
COARSE_ACC_M: Final = 200.0  # a cell tower's fix ...
COARSE_QUIET_MS: Final = 600_000  # ... counts only when nothing better came for ten minutes
SPIKE_MPS: Final = 50.0  # a jump faster than this ...
SPIKE_M: Final = 200.0  # ... and longer than this waits for the next fix to confirm it

# Movement
BIN_MS: Final = 25_000  # the grain of a trip
MAX_RUNS: Final = 11  # a trip is condensed into at most so many runs
MAX_BINS: Final = 16  # of a candidate: STAY_MIN_MS / BIN_MS, and some for the arrival
FAST_MPS: Final = 2.3  # faster than walking, [Zheng 2010] uses 1.8-2.5
FAST_MIN_MS: Final = 90_000  # shorter rides between two walks are noise
SLOW_MIN_MS: Final = 180_000  # shorter walks between two rides are stops
HALT_MPS: Final = 0.4  # slower than any walk: a halt, which belongs to the leg that it interrupts
EDGE_MIN_MS: Final = 60_000  # at the ends of a trip one neighbour is missing, so less is asked
VOTE_MS: Final = 300_000  # how long an activity sample speaks for the time after it
VOTE_MIN_CONFIDENCE: Final = 0.4
MAX_SOURCES: Final = 8  # installs told apart within one stay or trip; later ones are credited to the last
MOST_MS: Final = (1 << 27) - 1  # features stop growing after a day and a half, so that a run stays small

SPEED_EDGES_MPS: Final = (0.6, 2.3, 4.0, 7.0, 12.0, 18.0, 27.0, 50.0)
"""Upper edges of the speed buckets of a run; the last bucket is open."""

VOTES: Final = ("still", "walking", "running", "cycling", "automotive")
"""The activities that are counted; unknown is not."""

# Checkpoints
CHECKPOINT_ITEMS: Final = 500  # a late item replays at most about so many items before the first that matters
