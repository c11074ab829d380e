"""`python -m envhub`: the command `envhub` of this interpreter."""

from envhub.cli import app

app(prog_name="envhub")
