"""What is said of frames that are left out, and of a run that has too few others."""

from collections.abc import Callable, Sequence

MESSAGE_LENGTH = 255
MIN_FRAMES = 2

WRONG_SUFFIX = "its name does not end in an allowed suffix"
WRONG_SIZE = "its size differs"
GONE = "it has been deleted meanwhile"
NO_TIME = "its header gives the date only, no time"
_UNALIGNED = "it cannot be aligned"


def too_few_frames_message(
    usable: int, left_out: Sequence[tuple[str, str]], suffix_message: Callable[[str], str]
) -> str:
    """Say why there are not enough frames, in at most 255 characters.

    Parameters
    ----------
    usable : int
        How many frames could be used.
    left_out : sequence of (str, str)
        Name and reason of each frame that could not.
    suffix_message : function of str to str
        Gives the text that refuses a file of this name.
    """
    if not left_out:
        return f"A timelapse needs at least two frames, this one has {usable}"
    kinds = {reason.split(":", 1)[0] for _, reason in left_out}
    name, reason = left_out[0]
    if kinds == {WRONG_SUFFIX}:
        return _fit(suffix_message, name)
    if kinds == {WRONG_SIZE}:
        return "Invalid parameters. Are all images the same size?"
    if len(kinds) == 1 and kinds != {_UNALIGNED}:
        return _fit(lambda shown: f"Error in file '{shown}': {reason}", name)
    what = "frames can be aligned" if kinds == {_UNALIGNED} else "usable frames"
    text = f"Fewer than two {what} ({usable} of {usable + len(left_out)}): "
    return shorten(text + "; ".join(f"'{name}': {reason}" for name, reason in left_out))


def _fit(message: Callable[[str], str], name: str) -> str:
    """Put a name into a message; a name that is too long loses its middle, so that the reason stays readable."""
    text = message(name)
    excess = len(text) - MESSAGE_LENGTH
    if excess <= 0:
        return text
    keep = max(len(name) - excess - 1, 2)
    return message(f"{name[: keep - keep // 2]}…{name[-(keep // 2) :]}")


def shorten(text: str) -> str:
    """Cut a message to 255 characters."""
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"
