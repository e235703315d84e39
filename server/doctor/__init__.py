"""What one runs when something is off: each check looks at one thing, from outside, and says one line."""
