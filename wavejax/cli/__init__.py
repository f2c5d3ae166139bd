"""The command line (floor 7): parsing and printing only; what it does is done by the floors below."""
