"""What would change on average: effects over time, for groups, and in a new place."""
