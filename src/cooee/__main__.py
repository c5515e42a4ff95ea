"""``python -m cooee`` is the same as ``cooee``."""

from cooee.cli.main import main

if __name__ == "__main__":
    main()
