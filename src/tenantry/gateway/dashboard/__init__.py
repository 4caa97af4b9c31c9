"""The web dashboard: a page and its parts, which speak the native API with the key of whoever logs in."""
