"""What is sold: `planfile` reads plans from a file (pure), `plans` keeps their versions."""
