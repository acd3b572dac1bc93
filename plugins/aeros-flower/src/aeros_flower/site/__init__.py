"""What a site decides: the tasks it takes part in, the files it gives, and what leaves it."""
