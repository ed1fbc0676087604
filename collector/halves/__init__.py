"""The halves of tests that measurement servers have: asked for, checked, and stored."""
