"""What people upload, made safe to keep and to show."""
