"""A judgehost for DOMjudge: its work and its words, our engine."""
