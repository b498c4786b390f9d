"""What is true: pure decisions on frozen values. Standard library only, no I/O, no clock, no chance."""
