"""`python -m envhub.testing` is the other end of a `SecondProcess`."""

from envhub.testing.second_process import serve

serve()
