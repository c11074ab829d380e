"""What this project is called on the package index; `envhub` there is somebody else's."""

NAME = "envhub-rl"


def install_command(extra: str) -> str:
    """The command that installs this project with one of its extras."""
    return f'pip install "{NAME}[{extra}]"'
