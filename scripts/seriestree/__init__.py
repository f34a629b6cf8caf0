"""The series as files of this repository, and the same series as commits of a git tree."""
