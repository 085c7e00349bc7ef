"""What would have been, unit by unit, and by which way."""
