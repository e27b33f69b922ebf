"""Images in NumPy arrays: which arrays they are, and how layouts, depths and labels of many kinds become one."""
