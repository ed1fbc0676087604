"""The measuring process: tasks in, results out, nothing else in its interpreter."""
