"""Ed25519 keys: making, reading, signing, verifying and revoking.

Begin with `ed25519`. `trust_folder` finds the keys that a user trusts, `revocation` says until
when a key is good.

The commands do not belong here, see `aeros_algorithms.keys_cli`.
"""
