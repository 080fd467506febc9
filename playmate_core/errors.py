"""The one exception a person is meant to read."""


class UserError(ValueError):
    """One sentence: what we got, what we expected, what to do. Shown to people without a traceback."""
