"""The sandbox: bubblewrap started by a small launcher that keeps what rights it needs and parses nothing hostile."""
