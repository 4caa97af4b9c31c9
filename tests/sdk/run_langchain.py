"""langchain-pinecone's vector store on SDK 7.3 against a gateway; run by that SDK's interpreter.

Usage: run_langchain.py URL KEY
"""

import os
import sys
import zlib

url, key = sys.argv[1:]
os.environ["PINECONE_API_KEY"] = key
os.environ["PINECONE_CONTROLLER_HOST"] = url

from langchain_core.documents import Document  # noqa: E402
from langchain_core.embeddings import Embeddings  # noqa: E402
from langchain_pinecone import PineconeVectorStore  # noqa: E402
from pinecone import Pinecone, ServerlessSpec  # noqa: E402

DIMENSION = 64


class WordHashes(Embeddings):
    """Counts words by their hash: texts with common words are near each other."""

    def embed_query(self, text: str) -> list[float]:
        found = [0.01] * DIMENSION
        for word in text.lower().split():
            found[zlib.crc32(word.encode()) % DIMENSION] += 1.0
        return found

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


pc = Pinecone(api_key=key, host=url)
pc.create_index(name="lang", dimension=DIMENSION, metric="cosine", spec=ServerlessSpec(cloud="aws", region="us-east-1"))
store = PineconeVectorStore(index=pc.Index("lang"), embedding=WordHashes(), namespace="acme")
texts = ["the cat sat on the mat", "stock prices fell sharply today", "a dog chased the cat"]
ids = store.add_texts(texts, metadatas=[{"topic": "pets"}, {"topic": "money"}, {"topic": "pets"}], ids=["1", "2", "3"])
assert ids == ["1", "2", "3"]
assert store.similarity_search("cat mat", k=1)[0].page_content == texts[0]
pets = store.similarity_search("prices", k=3, filter={"topic": "pets"})
assert {found.metadata["topic"] for found in pets} == {"pets"}
assert len(pets) == 2
scored = store.similarity_search_with_score("stock prices fell sharply today", k=1)
assert scored[0][0].page_content == texts[1]
assert abs(scored[0][1] - 1.0) < 1e-4
assert store.similarity_search("cat", k=3, namespace="other") == []
store.add_documents([Document(page_content="other tenants' cat", metadata={})], ids=["x"], namespace="other")
assert [found.page_content for found in store.similarity_search("cat", k=3, namespace="other")] == [
    "other tenants' cat"
]
assert len(store.max_marginal_relevance_search("cat", k=2, fetch_k=3)) == 2
store.delete(ids=["1"])
assert all(found.page_content != texts[0] for found in store.similarity_search("cat mat", k=3))
named = PineconeVectorStore.from_existing_index("lang", WordHashes(), namespace="acme")
assert len(named.similarity_search("cat", k=5)) == 2
store.delete(delete_all=True)
assert store.similarity_search("cat", k=3) == []
pc.delete_index("lang")
print("ok")
