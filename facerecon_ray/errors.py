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


class StorageError(FaceReconError):
    """A folder or an object store refuses what was asked of it, or does not answer."""


class MissingObjectError(StorageError):
    """There is no object of that name."""


class ChangedObjectError(StorageError):
    """The object is not the one any more that it was when something was found out about it."""


class StoreUnavailableError(StorageError):
    """The store did not answer within the time limit; the same may work later."""


class ObjectTooLargeError(StorageError):
    """The object has more bytes than the reader allows; none of them were read."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class TrainingError(FaceReconError):
    """A training cannot go on: its loss is no number, or a checkpoint is of something else."""
