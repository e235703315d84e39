"""What must happen later: durable work, done at least once and settled exactly once."""
