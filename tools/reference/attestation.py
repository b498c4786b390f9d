"""What a device proves and why a proof is refused: levels, kinds and reasons of the backend kit."""

from __future__ import annotations

from typing import Final

from tools.reference import markdown
from unbroken.backend.attestation import Binding, Kind, Level, Mode, Reason

INTRO = """\
What devices send as proof that they are genuine, what it is bound to, what it proves, and every reason for which it is
refused. How to set it up: [Ask devices for a proof](../how-to/attest-devices.md)."""

BINDING = """\
A proof is for one app, one install and one challenge. Device and server make the same bytes, and the device has their
SHA-256 signed:

| part | bytes |
| --- | --- |
| purpose | `unb-link/1` in ASCII |
| app id | one byte for its length, then its 24 characters |
| install id | the same |
| install key | one byte for its length, then the public key that the install has besides; a zero byte if none |
| challenge | 32 bytes |

The digest goes, as 32 bytes, into `clientDataHash` (App Attest) or the attestation challenge (Android); as base64url
without padding into `nonce` or `requestHash` (Play Integrity). To check another implementation:
"""

REASONS = """\
Each stands for one check, and stays what it is: build alerts on it. An app is told the reason and no detail; your log
has both, as a warning of the logger `unbroken.backend.attestation`."""

KINDS: Final = {
    Kind.APP_ATTEST: ("`key_id`, `attestation`", "iOS: a key in the Secure Enclave, attested by Apple"),
    Kind.APP_ATTEST_ASSERTION: ("`key_id`, `assertion`", "iOS: a signature by a key that was attested before"),
    Kind.ANDROID_KEY: ("`chain`", "Android: a key in secure hardware, and the certificates that say so, leaf first"),
    Kind.PLAY_CLASSIC: ("`token`", "Android: the token of a classic request to Play Integrity; opened here"),
    Kind.PLAY_STANDARD: ("`token`", "Android: the token of a standard request; decoded by Google"),
}

LEVELS: Final = {
    Level.NONE: "nothing",
    Level.SOFTWARE: "a key that lies in a file; no verifier of this release gives it",
    Level.TEE: "the key is in the device's trusted execution environment",
    Level.STRONGBOX: "the key is in a security chip of its own",
    Level.APP_ATTEST: "the app is genuine, on a genuine Apple device",
    Level.PLAY_BASIC: "Google's label `MEETS_BASIC_INTEGRITY`",
    Level.PLAY_DEVICE: "Google's label `MEETS_DEVICE_INTEGRITY`",
    Level.PLAY_STRONG: "Google's label `MEETS_STRONG_INTEGRITY`",
}

MODES: Final = {
    Mode.OFF: "nothing is verified",
    Mode.OBSERVE: "refusals are counted (`policy.refused()`) and logged, and the install goes on",
    Mode.ENFORCE: "the install is refused",
}

MEANINGS: Final = {
    Reason.MISSING: "Nothing was sent. An old version of the app, or no app.",
    Reason.MALFORMED: "It is of no form that is known. A bug in the app, or somebody trying.",
    Reason.TOO_LARGE: "A token of more than 20,000 characters.",
    Reason.NOT_VERIFIABLE: "The policy has no verifier for this kind. Add one, or find out why the app sends it.",
    Reason.BINDING_MISMATCH: "It was made for something else: another challenge, install or app. A bug in how the app "
    "makes the digest, or a proof that was stolen.",
    Reason.WRONG_APP: "Another app made it. Check the app ids and packages: debug builds often have their own.",
    Reason.BAD_SIGNATURE: "A signature is not of the key it must be of.",
    Reason.VERIFIER_FAILED: (
        "A verifier raised what it does not declare: the log has the traceback; please report it."
        " Or 256 proofs were being verified already."
    ),
    Reason.UNTRUSTED_ROOT: "The chain ends at no key of Google's: an emulator, a device without Google's keys, or "
    "attestation by software alone.",
    Reason.BROKEN_CHAIN: "The certificates do not follow each other. The app must send the whole chain, leaf first.",
    Reason.CERTIFICATE_NOT_VALID_NOW: "A certificate is over or has not begun. An old proof, or this server's clock.",
    Reason.KEY_MISMATCH: "Key, key id and what the device says of them do not belong together.",
    Reason.KEY_UNKNOWN: "No key with that id was attested for this install. The app attests a new key.",
    Reason.WRONG_ENVIRONMENT: "A development build where production is asked for, or the reverse of what Apple names.",
    Reason.COUNTER_NOT_GREATER: "The counter was there before: a proof sent twice, or a copied key.",
    Reason.EXTENSION_MISPLACED: "The first certificate has no key description, or another one has: a forged chain.",
    Reason.REVOKED: "Google revoked a key of this chain; the keys of that device are known to others.",
    Reason.REVOCATION_LIST_STALE: "The list of revoked keys could not be fetched for a day. Let this server reach it.",
    Reason.SECURITY_LEVEL: "The key is not in the hardware that the rules ask for, or its levels do not agree.",
    Reason.KEY_NOT_GENERATED: "The key was brought into the hardware, and may lie elsewhere too.",
    Reason.KEY_OF_ALL_APPLICATIONS: "Any app on the device may use the key.",
    Reason.BOOT_NOT_VERIFIED: "The boot loader is open, or the system is not its maker's nor on your list.",
    Reason.PATCH_LEVEL_TOO_OLD: "The system's security patch is older than the rules ask for.",
    Reason.WRONG_SIGNER: "The app was signed by somebody else. With Play App Signing, Google's certificate counts.",
    Reason.ALGORITHM_NOT_ALLOWED: "The token asks for another algorithm than Google's: a forged token.",
    Reason.NOT_DECRYPTED: "The token was not encrypted for this app's key. Check the response keys.",
    Reason.TOO_OLD: "The verdict is more than five minutes old.",
    Reason.FROM_THE_FUTURE: "The verdict is more than half a minute ahead. Check this server's clock.",
    Reason.APP_NOT_RECOGNIZED: "Google Play does not know this version: side-loaded, changed, or not evaluated.",
    Reason.DEVICE_NOT_RECOGNIZED: "The device lacks the label that the rules ask for.",
    Reason.NOT_LICENSED: "The account has not got the app from Google Play, and the rules ask for that.",
    Reason.VERSION_TOO_OLD: "The version of the app is older than the rules ask for.",
    Reason.TEST_RESPONSE: "The Play Console was told to answer so to this tester.",
    Reason.TOKEN_REPEATED: (
        "The token was sent to Google before, and nothing came of it, or another one was for this challenge."
        " The app asks for a new challenge and a new token."
    ),
    Reason.DECODER_REFUSED: "Google did not take the token, or not this service account. The log has more.",
    Reason.DECODER_QUOTA_EXCEEDED: "Google's quota is used up: 10,000 a day and app unless you ask for more.",
    Reason.DECODER_UNREACHABLE: (
        "Google did not answer, or with 502, 503 or 504. Refused under `enforce`, unless `is_lenient_in_outage`."
    ),
}


def page() -> str:
    """docs/reference/attestation.md."""
    binding = Binding("a" * 24, "b" * 24, b"a key", bytes(range(32)))
    kinds = [[f"`{kind}`", *KINDS[kind]] for kind in Kind]
    levels = [[f"`{level}`", LEVELS[level]] for level in Level]
    modes = [[f"`{mode}`", MODES[mode]] for mode in Mode]
    reasons = [[f"`{reason}`", MEANINGS[reason]] for reason in Reason]
    parts = [
        markdown.heading("Attestation", "`src/unbroken/backend/attestation/`", INTRO),
        "## What a device sends\n\nThe member `attestation` of `POST /install`; bytes as base64 with padding.\n",
        markdown.table(["kind", "members", "what"], kinds),
        f"## What it is bound to\n\n{BINDING}",
        f"```text\n{_example(binding)}\n```\n",
        "## What it proves\n",
        markdown.table(["level", "what was proven"], levels),
        "## What a policy makes of it\n",
        markdown.table(["mode", "where there is no proof"], modes),
        f"## Why a proof is refused\n\n{REASONS}\n",
        markdown.table(["reason", "what it means, and what to do"], reasons),
    ]
    return "\n".join(parts)


def _example(binding: Binding) -> str:
    parts = {
        "app id": binding.app_id,
        "install id": binding.install_id,
        "install key": binding.install_key.hex(),
        "challenge": binding.challenge.hex(),
        "client data": binding.client_data.hex(),
        "digest": binding.digest.hex(),
    }
    return "\n".join(f"{name:12} {value}" for name, value in parts.items())
