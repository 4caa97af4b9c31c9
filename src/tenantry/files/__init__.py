"""Records in files: Parquet, JSON lines, and what Pinecone, Qdrant and Chroma give out; read, checked, written.

`formats` tells what a file is, `reading` makes rows of it, `check` makes records of rows or says what is wrong with
them, `importer` sends them and remembers how far it came, `writing` writes files. No vendor's SDK is needed: these are
forms of files. What sends and fetches records is a port here (`importer.Sink`), so that the library and the command
line share all of it.
"""
