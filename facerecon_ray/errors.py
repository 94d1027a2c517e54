"""Errors that users see: what happened, to what, and what to do about it."""


class FaceReconError(Exception):
    """A mistake or a condition the user can act on; the command line prints it as one line, exit code 2."""


class InputError(FaceReconError):
    """The input does not exist, is empty, or cannot be read."""


class OutputError(FaceReconError):
    """The output cannot be written, or a path would leave the output folder."""


class SettingsError(FaceReconError, ValueError):
    """A setting is unknown or has a value that is not allowed."""


class AssetError(FaceReconError):
    """A face model, a weight file or another asset is missing or of the wrong format."""


class PhotoError(FaceReconError):
    """One photo cannot be used; the job writes a row with the reason and goes on."""
