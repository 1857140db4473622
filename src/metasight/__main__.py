"""``python -m metasight``."""

from metasight.cli import main

if __name__ == "__main__":
    main()
