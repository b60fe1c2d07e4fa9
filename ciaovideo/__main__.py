"""``python -m ciaovideo`` is the command ``ciaovideo``."""

from ciaovideo.cli.main import main

if __name__ == "__main__":
    main()
