"""The dock of segkit."""
