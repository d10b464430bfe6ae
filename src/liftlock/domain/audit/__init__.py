"""The audit log as a Merkle tree: what a row's leaf is, proofs, signed checkpoints, and verification without the server."""
