"""Downloads over HTTP: every address checked when its socket is made, sizes and times bounded."""
