"""The HTTP face: Pinecone's API, the native API, keys, and errors as HTTP statuses."""
