# What we use of it: where it lies.
