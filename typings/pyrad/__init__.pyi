# What this project uses of pyrad 2.6, which ships no types.
