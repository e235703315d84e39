"""Where stylised pictures and payments come from."""
