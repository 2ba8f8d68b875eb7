"""Writes small Parquet files as the Hugging Face hub and others write them.

Run:  pip install pyarrow==26.0.1
      python make_fixtures.py
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
DOCUMENTS = ["The café burned down.\nNobody was hurt. \n\nPolice said \"arson\".", "A team won.", "東京 won.", "A team won.", " \n"]
SUMMARIES = ["A café was lost in a fire.", "A team has won the cup.", "Tokyo has won.", "A team has won the cup.", "Nothing."]
IDS = ["35232142", "40143035", "35951548", "36266422", "38826984"]


def table(text=pa.string(), nullable=True, documents=DOCUMENTS, **columns):
    columns = {"document": documents, "summary": SUMMARIES, "id": IDS} | columns
    columns = {name: values for name, values in columns.items() if values is not None}
    schema = pa.schema([pa.field(name, text, nullable) for name in columns])
    return pa.table(columns, schema=schema)


def write(name, data, **options):
    pq.write_table(data, HERE / f"{name}.parquet", **options)


# As `datasets` writes: snappy, dictionaries, optional columns; two row groups.
write("hub", table(), row_group_size=3)
# The same text in the other encodings and layouts.
write("plain", table(nullable=False), compression="none", use_dictionary=False)
write("pages2", table(pa.large_string()), data_page_version="2.0", data_page_size=1)
write("delta", table(), use_dictionary=False, column_encoding={"document": "DELTA_BYTE_ARRAY",
      "summary": "DELTA_LENGTH_BYTE_ARRAY", "id": "DELTA_BYTE_ARRAY"})
# A test file: no summaries at all, or only some.
write("no_summary", table(summary=None, id=None))
write("null_summary", table(summary=[None, *SUMMARIES[1:]], documents=[*DOCUMENTS[:4], None]))
# To be refused. `delta_count` is `delta` as a fuzzer changed it.
write("gzip", table(), compression="gzip")
write("wrong_columns", pa.table({"article": DOCUMENTS, "highlights": SUMMARIES}))
write("numbers", pa.table({"document": DOCUMENTS, "summary": [1, 2, 3, 4, 5]}))
write("lists", pa.table({"document": [[text] for text in DOCUMENTS]}))
write("latin1", pa.table({"document": [b"ok", "café".encode("latin1"), b"ok too"]}))
write("repeated", table(documents=["word " * 2000] * 20000, summary=None, id=None))
write("empty", table(documents=[], summary=[], id=[]))
