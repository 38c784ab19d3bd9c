"""The load server: documents rendered once into a file, pages cut out of it."""
