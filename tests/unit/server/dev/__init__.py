"""What only development has."""
