"""What a programme did to those who began it, and what came of a decision."""
