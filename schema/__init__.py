"""What exists and how it is read: values, keys, documents, tables, read sets. Knows no I/O."""
