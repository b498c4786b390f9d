"""The public keys that every chain must end at. They are part of a release: a verifier fetches no root at run time.

Apple publishes its root at https://www.apple.com/certificateauthority/private/ (Apple App Attestation Root CA). Google
lists its attestation roots at https://developer.android.com/privacy-and-security/security-key-attestation: an RSA key,
and from February 2026 a P-384 key besides. A root's certificate may be renewed; its key is what is trusted.
"""

from __future__ import annotations

import base64
from typing import Final

APPLE_ROOT: Final = base64.b64decode(
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAERTHhmLW07ATaFQIEVwTtT4dyctdhNbJhFs/Ii2FdCgAHGbpphY3+d8qjuDngIN3WVhQU"
    "BHAoMeQ/cLiP1sOUtgjqK9auYen1mMEvRq9Sk3Jm5X8U62H+xTD3FE9TgS41"
)
"""P-384. Its certificate is valid until 2045-03-15."""

GOOGLE_RSA_ROOT: Final = base64.b64decode(
    "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAr7bHgiuxpwHsK7Qui8xUFmOr75gvMsd/dTEDDJdSSxtf6An7xyqpRR90"
    "PL2abxM1dEqlXnf2tqw1Ne4Xwl5jlRfdnJLmN0pTy/4lj4/7tv0Sk3iiKkypnEUtR6WfMgH0QZfKHM1+di+y9TFRtv6y//0rb+T+"
    "W8a9nsNL/ggjnar86461qO0rOs2cXjp3kOG1FEJ5MVmFmBGtnrKpa73XpXyTqRxB/M0n1n/W9nGqC4FSYa04T6N5RIZGBN2z2MT5"
    "IKGbFlbC8UrW0DxW7AYImQQcHtGl/m00QLVWutHQoVJYnFPlXTcHYvASLu+RhhsbDmxMgJJ0mcDpvsC4PjvB+TxywElgS70vE0Xm"
    "LD+OJtvsBslHZvPBKCOdT0MS+tgSOIfga+z1Z1g7+DVagf7quvmag8jfPioyKvxnK/EgsTUVi2ghzq8wm27ud/mIM7AY2qEORR8G"
    "o3TVB4HzWQgpZrt3i5MIlCaY504LzSRiigHCzAPlHws+W0rB5N+er5/2pJKnfBSDiCiFAVtCLOZ7gLiMm0jhO2B6tUXHI/+MRPjy"
    "02i59lINMRRev56GKtcd9qO/0kUJWdZTdA2XoS82ixPvZtXQpUpuL12ab+9EaDK8Z4RHJYYfCT3Q5vNAXaiWQ+8PTWm2QgBR/bkw"
    "SWc+NpUFgNPN9PvQi8WEg5UmAGMCAwEAAQ=="
)
"""RSA with 4,096 bits, of the certificates named serialNumber=f92009e853b6b045."""

GOOGLE_P384_ROOT: Final = base64.b64decode(
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEI9ojcU7fPlsFCjxy6IRqzgeOoK0b+YsV9FPQywiyw8EQRTkJ9u3qwfnI4DGoSLlBqClT"
    "XJfgfCcZvs60FikNMHnu4fkRzObfgDkU2KNXezT9/RQ+XvNslxPHrHCowhGr"
)
"""P-384, of the certificate named CN=Key Attestation CA1."""

GOOGLE_ROOTS: Final = frozenset({GOOGLE_RSA_ROOT, GOOGLE_P384_ROOT})
