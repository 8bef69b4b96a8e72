"""What measures or shows, and nobody imports."""
