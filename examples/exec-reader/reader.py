#!/usr/bin/env python3
"""A reader for sochdb-bulk: embeddings in an SQLite database, as an Arrow IPC stream on standard output."""

import sqlite3
import sys

import numpy as np
import pyarrow as pa

BATCH_ROWS = 1000


def main(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = database.execute("SELECT id, title, embedding FROM documents ORDER BY id")
    writer, size = None, None
    while batch := rows.fetchmany(BATCH_ROWS):
        ids, titles, blobs = zip(*batch)
        size = size or len(blobs[0])
        for id, blob in zip(ids, blobs):
            if len(blob) != size:
                sys.exit(f"document {id}: expected an embedding of {size} bytes, found {len(blob)}")
        values = pa.array(np.frombuffer(b"".join(blobs), "<f4"))
        vectors = pa.FixedSizeListArray.from_arrays(values, size // 4)
        table = pa.record_batch({"id": pa.array(ids, pa.int64()), "title": pa.array(titles), "embedding": vectors})
        writer = writer or pa.ipc.new_stream(sys.stdout.buffer, table.schema)
        writer.write_batch(table)
    if writer is None:
        sys.exit("there are no documents")
    # Writes the marker of the end, without which the stream is taken as cut.
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
