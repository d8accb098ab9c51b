"""The end of a descent, judged: a proven bound on J - min J, a test for separation, the minimum of least norm."""
