"""Vector backends, one vendor a file or folder."""
