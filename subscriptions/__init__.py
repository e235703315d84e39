"""What changed and who cares: the sync protocol, one machine per socket, both without I/O."""
