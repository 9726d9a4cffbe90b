"""Classifying millions of photos into Parquet files, resumable at any moment.

The parts, for those who build on them (all without wall-clock but the column `milliseconds`):

- `manifest.update_manifest` lists a source into `manifest.parquet`; its row group k is part k, for
  good: `manifest.Manifest.entries(k)`. New photos are appended, so that the same sources give the
  same parts wherever they are classified.
- `parts.PartStore.plan(k)` says what of part k is there already and what is missing (the
  anti-join).
- `classification.classify_entries(classifier, entries, reader)` is the pure function: rows of the
  manifest in, the part's table out.
- `parts.PartStore.write(k, table)` makes the part appear, whole; `parts.same_results` compares two
  parts bit for bit, without the column `milliseconds`.
- `archive.classify_archive` puts them together on one PC, behind a lock.
"""
