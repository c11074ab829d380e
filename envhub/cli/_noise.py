"""Silence the unrequested output of libraries on the command line."""

import os

QUIET = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",  # pygame greets when it is imported
    "SDL_AUDIODRIVER": "dummy",  # SDL complains where there is no sound card
    "SDL_VIDEODRIVER": "dummy",  # and where there is no display; the commands draw into arrays
}


def silence_libraries() -> None:
    """Switch this output off, unless the user has set it."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
