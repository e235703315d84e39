"""What is reached over HTTP and WebSocket."""
