"""Pinecone's data plane and control plane, as the official SDKs speak them."""
