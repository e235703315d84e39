"""Who is asking, and all I/O."""
