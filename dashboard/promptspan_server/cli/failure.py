class CommandError(Exception):
    """A command ends here, with one clear line on stderr.

    Attributes:
        message: The line, without a prefix; empty if everything has been said already.
        exit_code: 1 for a finding (something that runs is broken), 2 for a usage or connection error.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
