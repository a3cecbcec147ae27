"""Load: the Locust suite, the lean driver, the bench, the history checker and the capacity planner."""
