"""The command `chat`, entered so that Ctrl-C ends it quietly from its first moment on."""

import signal


def main() -> None:
    """Runs the command. Its libraries take a third of a second to import; a Ctrl-C in that time just ends the process."""
    ours = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from chat_cli import chat

    signal.signal(signal.SIGINT, ours)
    chat.main()
