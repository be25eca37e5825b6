"""The referee of three rounds."""
