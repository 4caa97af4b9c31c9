"""Text in, records out: chunk, embed, deduplicate."""
