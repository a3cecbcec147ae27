"""The doors: one module for each audience, because guard, limits and load belong to the audience."""
