"""Who is asking: tokens verified, grants and cursors signed."""
