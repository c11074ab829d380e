"""What libraries say unasked on a command line, switched off."""

import os

QUIET = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",  # pygame greets when it is imported
    "SDL_AUDIODRIVER": "dummy",  # SDL complains where there is no sound card
    "SDL_VIDEODRIVER": "dummy",  # and where there is no display; the commands draw into arrays
}


def silence_libraries() -> None:
    """Switch it off, unless the user has chosen otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
